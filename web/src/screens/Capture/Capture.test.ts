import { expect, test, vi } from 'vitest';
import { ApiError, Unreachable, type Job, type Photo } from '../../api';
import { contentTypeOf } from '../../api/upload';
import { checkLike, jobLike, quietApi, settle, show } from '../../testing/stage';
import Capture from './Capture.svelte';

const photo = new File(['bytes'], 'eye.jpg', { type: 'image/jpeg' });

function capture(file: File | null) {
  const api = quietApi();
  const props = { onpick: vi.fn(), onsubmitted: vi.fn(), onopen: vi.fn() };
  return { api, ...props, stage: show(Capture, { api, file, ...props }) };
}

test('offers the camera and the library', () => {
  const { stage } = capture(null);
  const inputs = stage.all('input[type=file]');
  expect(inputs.map((input) => input.getAttribute('accept'))).toEqual(['image/*', 'image/*']);
  expect(inputs.map((input) => input.getAttribute('capture'))).toEqual(['environment', null]);
});

test('nothing is sent before Process is pressed; then the job is handed on', async () => {
  const { api, onsubmitted, stage } = capture(photo);
  const job = jobLike({ status: 'pending', progress: 0 });
  const check = checkLike();
  api.uploadPhoto.mockResolvedValue({ id: 'p1' } as Photo);
  api.check.mockResolvedValue(check);
  api.submit.mockResolvedValue(job as Job);
  expect(api.uploadPhoto).not.toHaveBeenCalled();
  await stage.press('Process');
  expect(api.submit.mock.calls[0]?.[0]).toBe('p1');
  expect(onsubmitted).toHaveBeenCalledWith(job, check);
});

test('a photo that will not do shows what we see and why, before any job', async () => {
  const { api, stage } = capture(photo);
  api.uploadPhoto.mockResolvedValue({ id: 'p1' } as Photo);
  api.check.mockResolvedValue(
    checkLike({ usable: false, message: 'The iris is out of focus.', suggestion: 'Hold the camera still.' }),
  );
  await stage.press('Process');
  expect(stage.one('h1').textContent).toBe('We see your eye, but…');
  expect(stage.one('[role=alert]').textContent).toContain('Hold the camera still.');
  expect(stage.all('svg[role=img] ellipse')).toHaveLength(2);
  expect(stage.button('Take another photo')).toBeTruthy();
  expect(api.submit).not.toHaveBeenCalled();
});

test('a photo that will not do can be tried anyway, without sending it again', async () => {
  const { api, onsubmitted, stage } = capture(photo);
  api.uploadPhoto.mockResolvedValue({ id: 'p1' } as Photo);
  api.check.mockResolvedValue(checkLike({ usable: false, iris: null }));
  api.submit.mockResolvedValue(jobLike() as Job);
  await stage.press('Process');
  await stage.press('Try this one anyway');
  expect(onsubmitted).toHaveBeenCalledOnce();
  expect(api.uploadPhoto).toHaveBeenCalledOnce();
});

test('a server too busy to look is no obstacle: the job will tell', async () => {
  const { api, onsubmitted, stage } = capture(photo);
  api.uploadPhoto.mockResolvedValue({ id: 'p1' } as Photo);
  api.check.mockRejectedValue(new ApiError(503, 'unavailable', 'Busy.'));
  api.submit.mockResolvedValue(jobLike() as Job);
  await stage.press('Process');
  expect(onsubmitted).toHaveBeenCalledExactlyOnceWith(jobLike(), null);
});

test('shows how much was sent, and can be cancelled', async () => {
  const { api, stage } = capture(photo);
  await stage.press('Process');
  const sending = api.uploadPhoto.mock.calls[0]?.[1];
  sending?.onSent(0.4);
  await settle();
  expect(stage.one<HTMLProgressElement>('progress').value).toBeCloseTo(0.4);
  await stage.press('Cancel');
  expect(sending?.signal.aborted).toBe(true);
});

test('a photo the server cannot read shows its words and asks for another', async () => {
  const { api, stage } = capture(photo);
  api.uploadPhoto.mockRejectedValue(
    new ApiError(415, 'unsupported_format', 'HEIC photos are not read here.', 'Share it as JPEG.'),
  );
  await stage.press('Process');
  const notice = stage.one('[role=alert]').textContent;
  expect(notice).toContain('HEIC photos are not read here.');
  expect(notice).toContain('Share it as JPEG.');
  expect(stage.button('Take another photo')).toBeTruthy();
});

test('a network that is away asks for another try, not for another photo', async () => {
  const { api, stage } = capture(photo);
  api.uploadPhoto.mockRejectedValue(new Unreachable());
  await stage.press('Process');
  expect(stage.one('[role=alert]').textContent).toContain('Check your connection');
  expect(stage.all('input[type=file]')).toHaveLength(0);
  await stage.press('Try again');
  expect(api.uploadPhoto).toHaveBeenCalledTimes(2);
});

test('a photo that arrived is not sent twice when only the start failed', async () => {
  const { api, onsubmitted, stage } = capture(photo);
  api.uploadPhoto.mockResolvedValue({ id: 'p1' } as Photo);
  api.check.mockResolvedValue(checkLike());
  api.submit.mockRejectedValueOnce(new ApiError(503, 'busy', 'Busy.'));
  await stage.press('Process');
  api.submit.mockResolvedValue(jobLike() as Job);
  await stage.press('Try again');
  expect(api.uploadPhoto).toHaveBeenCalledOnce();
  expect(onsubmitted).toHaveBeenCalledOnce();
});

test('recent jobs are a strip: pictures, failures, and those still running', async () => {
  const api = quietApi();
  api.recentJobs.mockResolvedValue([
    jobLike({ job_id: 'a', status: 'processing', progress: 40 }),
    jobLike({ job_id: 'b' }),
    jobLike({ job_id: 'c', status: 'failed', result_url: null }),
  ]);
  const onopen = vi.fn();
  const stage = show(Capture, { api, file: null, onpick: vi.fn(), onsubmitted: vi.fn(), onopen });
  await settle();
  const links = stage.all('nav a') as HTMLElement[];
  expect(links.map((link) => link.getAttribute('aria-label'))).toEqual([
    'Working, 40 %',
    'Finished picture',
    'Did not work',
  ]);
  links[1]?.click();
  expect(onopen).toHaveBeenCalledWith('b');
});

test.each([
  [new File([], 'a.HEIC'), 'image/heic'],
  [new File([], 'a.jpeg'), 'image/jpeg'],
  [new File([], 'a.png', { type: 'image/png' }), 'image/png'],
  [new File([], 'noname'), 'application/octet-stream'],
])('%o is declared as %s', (file, contentType) => {
  expect(contentTypeOf(file)).toBe(contentType);
});
