import { expect, test, vi } from 'vitest';
import { NetworkError } from '../../api';
import { flushPromises, render } from '../../testing/component-harness';
import { fakeApi } from '../../testing/fake-api';
import { jobFixture } from '../../testing/fixtures';
import { pictureFileName, shareData } from './download-and-share';
import Result from './Result.svelte';

function renderResult(differences = {}) {
  const api = fakeApi();
  const props = { onrenewurls: vi.fn(() => Promise.resolve()), onsubmitted: vi.fn(), onleave: vi.fn() };
  return { api, ...props, screen: render(Result, { api, job: jobFixture(differences), ...props }) };
}

test('compares before and after, with quality, size and processing time', () => {
  const { screen } = renderResult();
  expect(screen.one('[role=slider]')).toBeTruthy();
  expect(screen.text()).toContain('A good photo.');
  expect(screen.text()).toContain('Photo quality 83 of 100 · 2048 × 2048 pixels · 0.8 s of work');
});

test('shows the picture alone when there is no before', () => {
  const { screen } = renderResult({ before_url: null });
  expect(screen.all('[role=slider]')).toHaveLength(0);
  expect(screen.one<HTMLImageElement>('img').src).toContain('/result.jpg');
});

test('expired URLs are renewed once, then an error is shown', async () => {
  const { onrenewurls, screen } = renderResult();
  screen.one('img').dispatchEvent(new Event('error'));
  await flushPromises();
  expect(onrenewurls).toHaveBeenCalledOnce();
  screen.one('img').dispatchEvent(new Event('error'));
  await flushPromises();
  expect(onrenewurls).toHaveBeenCalledOnce();
  expect(screen.one('[role=alert]').textContent).toContain('could not be loaded');
});

test('switches between the two outlines of the picture, and saves the one that is shown', async () => {
  const alternative = { outline: 'visible' as const, result_url: '/visible.jpg', mask_url: '/visible_mask.png' };
  const { api, screen } = renderResult({ outline: 'round', alternative, quality: { filled_share: 0.118 } });
  const shown = () => screen.all('img').map((image) => image.getAttribute('src'));
  const pressed = () => screen.all('[aria-pressed=true]').map((button) => button.textContent?.trim());
  expect([shown(), pressed()]).toEqual([expect.arrayContaining(['/result.jpg']), ['Full circle']]);
  expect(screen.text()).toContain('12 % of this iris was filled in from its own texture');

  await screen.press('Visible part');
  expect([shown(), pressed()]).toEqual([expect.arrayContaining(['/visible.jpg']), ['Visible part']]);
  expect(screen.text()).toContain('Only what the photo shows');
  expect(api.picture).toHaveBeenLastCalledWith('/visible.jpg', expect.anything());

  await screen.press('Full circle');
  expect(shown()).toContain('/result.jpg');
});

test('offers no switch where there is one outline only', () => {
  const { screen } = renderResult({ outline: 'visible', alternative: null });
  expect(screen.all('[aria-pressed]')).toHaveLength(0);
});

test('makes the picture again with the other preset and its other options', async () => {
  const { api, screen } = renderResult({ options: { size: 1024, background: 'white', preset: 'natural' } });
  api.reprocess.mockResolvedValue(jobFixture({ status: 'pending' }));
  await screen.press('Make it vivid');
  expect(api.reprocess).toHaveBeenCalledWith(jobFixture().job_id, { size: 1024, background: 'white', preset: 'vivid' });
});

test('processing again submits a new job', async () => {
  const { api, onsubmitted, screen } = renderResult();
  const again = jobFixture({ job_id: 'next', status: 'pending' });
  api.reprocess.mockResolvedValue(again);
  await screen.press('Process this photo again');
  expect(onsubmitted).toHaveBeenCalledWith(again);
});

test('a picture that cannot be read is opened in a new tab instead', async () => {
  const { api, screen } = renderResult();
  api.picture.mockRejectedValue(new NetworkError());
  const clicked: HTMLAnchorElement[] = [];
  const click = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (this: HTMLAnchorElement) {
    clicked.push(this);
  });
  await screen.press('Save');
  click.mockRestore();
  expect(clicked.map((link) => [link.getAttribute('href'), link.target, link.download])).toEqual([
    ['/result.jpg', '_blank', ''],
  ]);
});

test('each file has its own name, from time, id and format', () => {
  // Without a zone: local time.
  const job = jobFixture({ created_at: '2026-11-27T15:30:12', job_id: '0193a5d0-ac96-774b-bcce-b302091f3a9c' });
  const other = { ...job, job_id: '0193a5d0-ac96-774b-bcce-b3020977e210' };
  expect(pictureFileName(job, 'image/jpeg')).toBe('irisflow-2026-11-27-153012-1f3a9c.jpg');
  expect(pictureFileName(job, 'image/png')).toBe('irisflow-2026-11-27-153012-1f3a9c.png');
  expect(pictureFileName(other, 'image/jpeg')).not.toBe(pictureFileName(job, 'image/jpeg'));
  expect(pictureFileName({ ...job, created_at: '' }, 'image/jpeg')).toBe('irisflow-1f3a9c.jpg');
});

test('sharing is offered only where pictures can be shared', () => {
  const picture = new Blob(['x'], { type: 'image/jpeg' });
  expect(shareData(picture, 'iris.jpg')).toBeNull();
  vi.stubGlobal('navigator', { share: vi.fn(), canShare: () => true });
  expect(shareData(picture, 'iris.jpg')?.files?.[0]?.name).toBe('iris.jpg');
  vi.stubGlobal('navigator', { share: vi.fn(), canShare: () => false });
  expect(shareData(picture, 'iris.jpg')).toBeNull();
  vi.unstubAllGlobals();
});
