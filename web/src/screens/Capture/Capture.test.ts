import { expect, test, vi } from 'vitest';
import { ApiError, Declined, Unreachable, type Job, type Photo } from '../../api';
import { contentTypeOf } from '../../api/upload';
import { checkLike, jobLike, photoFile, quietApi, settle, show, waitForGuards } from '../../testing/stage';
import Capture from './Capture.svelte';

const photo = photoFile();

function ascii(text: string): number[] {
  return [...text].map((letter) => letter.charCodeAt(0));
}

function capture(file: File | null) {
  const api = quietApi();
  const props = { onpick: vi.fn(), onsubmitted: vi.fn(), onopen: vi.fn() };
  return { api, ...props, stage: show(Capture, { api, file, ...props }) };
}

test('offers the camera and the library', () => {
  const { stage } = capture(null);
  const inputs = stage.all('input[type=file]');
  expect(inputs.map((input) => input.getAttribute('accept'))).toEqual(['image/*', 'image/jpeg,image/png,image/webp']);
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

test('a photo that will not do is not offered for another try, which would end the same', async () => {
  const { api, stage } = capture(photo);
  api.uploadPhoto.mockResolvedValue({ id: 'p1' } as Photo);
  api.check.mockResolvedValue(checkLike({ usable: false, iris: null }));
  await stage.press('Process');
  expect(stage.all('button')).toHaveLength(0);
  expect(stage.all('input[type=file]')).toHaveLength(2);
});

test('a double tap on Process sends once and cancels nothing', async () => {
  const { api, stage } = capture(photo);
  const process = stage.button('Process');
  await stage.press('Process');
  process.click();
  stage.button('Cancel').click();
  await settle();
  expect(stage.button('One moment')).toBe(process);
  expect(api.uploadPhoto).toHaveBeenCalledOnce();
  expect(api.uploadPhoto.mock.calls[0]?.[1].signal.aborted).toBe(false);
});

test('once the job is being made there is nothing to cancel', async () => {
  const { api, stage } = capture(photo);
  api.uploadPhoto.mockResolvedValue({ id: 'p1' } as Photo);
  api.check.mockResolvedValue(checkLike());
  await stage.press('Process');
  expect(api.submit).toHaveBeenCalledOnce();
  expect(stage.all('button').map((button) => button.textContent.trim())).toEqual(['One moment…']);
});

test.each([
  ['HEIC', photoFile('IMG_1.HEIC', [0, 0, 0, 24, ...ascii('ftypheic'), 0, 0, 0, 0, ...ascii('mif1heic')], ''), 'Most Compatible'],
  ['not a photo', new File(['Dear diary'], 'notes.txt', { type: 'text/plain' }), 'Choose a JPEG'],
  ['empty', new File([], 'eye.jpg', { type: 'image/jpeg' }), 'Choose another photo'],
])('a file that is %s is turned down when it is picked, and nothing is sent', async (what, file, advice) => {
  const { api, stage } = capture(file);
  await vi.waitFor(() => expect(stage.all('[role=alert]')).toHaveLength(1));
  await settle();
  const notice = stage.one('[role=alert]').textContent;
  expect(notice).toContain(what);
  expect(notice).toContain(advice);
  expect(stage.button('Take another photo')).toBeTruthy();
  expect(stage.all('button')).toHaveLength(0);
  expect(api.uploadPhoto).not.toHaveBeenCalled();
});

test('without the agreement nothing is made, and one can think again', async () => {
  const { api, stage } = capture(photo);
  api.uploadPhoto.mockRejectedValue(new Declined());
  await stage.press('Process');
  expect(stage.one('[role=alert]').textContent).toContain('only when you agree');
  expect(stage.button('Try again')).toBeTruthy();
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
  waitForGuards();
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

test.each([
  [new File([], 'a.HEIC'), 'image/heic'],
  [new File([], 'a.jpeg'), 'image/jpeg'],
  [new File([], 'a.png', { type: 'image/png' }), 'image/png'],
  [new File([], 'noname'), 'application/octet-stream'],
])('%o is declared as %s', (file, contentType) => {
  expect(contentTypeOf(file)).toBe(contentType);
});
