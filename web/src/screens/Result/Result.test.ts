import { expect, test, vi } from 'vitest';
import { Unreachable } from '../../api';
import { jobLike, quietApi, settle, show } from '../../testing/stage';
import { fileNameOf, shareData } from './keep';
import Result from './Result.svelte';

function result(differences = {}) {
  const api = quietApi();
  const props = { onrenew: vi.fn(() => Promise.resolve()), onsubmitted: vi.fn(), onleave: vi.fn() };
  return { api, ...props, stage: show(Result, { api, job: jobLike(differences), ...props }) };
}

test('compares before and after and tells quality, size and time', () => {
  const { stage } = result();
  expect(stage.one('[role=slider]')).toBeTruthy();
  expect(stage.text()).toContain('A good photo.');
  expect(stage.text()).toContain('Photo quality 83 of 100 · 2048 × 2048 pixels · 0.8 s of work');
});

test('shows the picture alone when there is no before', () => {
  const { stage } = result({ before_url: null });
  expect(stage.all('[role=slider]')).toHaveLength(0);
  expect(stage.one<HTMLImageElement>('img').src).toContain('/result.jpg');
});

test('links that ran out are asked for anew once, then it says so', async () => {
  const { onrenew, stage } = result();
  stage.one('img').dispatchEvent(new Event('error'));
  await settle();
  expect(onrenew).toHaveBeenCalledOnce();
  stage.one('img').dispatchEvent(new Event('error'));
  await settle();
  expect(onrenew).toHaveBeenCalledOnce();
  expect(stage.one('[role=alert]').textContent).toContain('could not be loaded');
});

test('processing again hands on the new job', async () => {
  const { api, onsubmitted, stage } = result();
  const again = jobLike({ job_id: 'next', status: 'pending' });
  api.reprocess.mockResolvedValue(again);
  await stage.press('Process this photo again');
  expect(onsubmitted).toHaveBeenCalledWith(again);
});

test('a picture that cannot be read here is opened instead, to be saved there', async () => {
  const { api, stage } = result();
  api.picture.mockRejectedValue(new Unreachable());
  const clicked: HTMLAnchorElement[] = [];
  const click = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (this: HTMLAnchorElement) {
    clicked.push(this);
  });
  await stage.press('Save');
  click.mockRestore();
  expect(clicked.map((link) => [link.getAttribute('href'), link.target, link.download])).toEqual([
    ['/result.jpg', '_blank', ''],
  ]);
});

test('each file has a name of its own, with its time and kind', () => {
  // Without a zone: this device's clock.
  const job = jobLike({ created_at: '2026-11-27T15:30:12', job_id: '0193a5d0-ac96-774b-bcce-b302091f3a9c' });
  const other = { ...job, job_id: '0193a5d0-ac96-774b-bcce-b3020977e210' };
  expect(fileNameOf(job, 'image/jpeg')).toBe('irisflow-2026-11-27-153012-1f3a9c.jpg');
  expect(fileNameOf(job, 'image/png')).toBe('irisflow-2026-11-27-153012-1f3a9c.png');
  expect(fileNameOf(other, 'image/jpeg')).not.toBe(fileNameOf(job, 'image/jpeg'));
  expect(fileNameOf({ ...job, created_at: '' }, 'image/jpeg')).toBe('irisflow-1f3a9c.jpg');
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
