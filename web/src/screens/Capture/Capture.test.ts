import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError, ConsentDeclinedError, NetworkError } from '../../api';
import { contentTypeOf } from '@irisflow/client';
import { flushPromises, passGuardTime, render } from '../../testing/component-harness';
import { fakeApi } from '../../testing/fake-api';
import { checkFixture, jobFixture, photoFile, photoFixture } from '../../testing/fixtures';
import Capture from './Capture.svelte';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const photo = photoFile();

function ascii(text: string): number[] {
  return [...text].map((letter) => letter.charCodeAt(0));
}

function capture(file: File | null) {
  const api = fakeApi();
  const props = { onpick: vi.fn(), onsubmitted: vi.fn(), onopen: vi.fn() };
  return { api, ...props, screen: render(Capture, { api, file, ...props }) };
}

test('offers the camera and the photos of the device', () => {
  const { screen } = capture(null);
  const inputs = screen.all('input[type=file]');
  expect(inputs.map((input) => input.getAttribute('accept'))).toEqual(['image/*', 'image/jpeg,image/png,image/webp']);
  expect(inputs.map((input) => input.getAttribute('capture'))).toEqual(['environment', null]);
});

test('nothing is sent before Process is pressed; then the job is submitted', async () => {
  const { api, onsubmitted, screen } = capture(photo);
  const job = jobFixture({ status: 'pending', progress: 0 });
  const check = checkFixture();
  api.uploadPhoto.mockResolvedValue(photoFixture('p1'));
  api.check.mockResolvedValue(check);
  api.submit.mockResolvedValue(job);
  expect(api.uploadPhoto).not.toHaveBeenCalled();
  await screen.press('Process');
  expect(api.submit.mock.calls[0]?.[0]).toBe('p1');
  expect(onsubmitted).toHaveBeenCalledWith(job, check);
});

test('a rejected photo is outlined with the reason, and no job is made', async () => {
  const { api, screen } = capture(photo);
  api.uploadPhoto.mockResolvedValue(photoFixture('p1'));
  api.check.mockResolvedValue(
    checkFixture({ usable: false, message: 'The iris is out of focus.', suggestion: 'Hold the camera still.' }),
  );
  await screen.press('Process');
  expect(screen.one('h1').textContent).toBe('We see your eye, but…');
  expect(screen.one('[role=alert]').textContent).toContain('Hold the camera still.');
  expect(screen.all('svg[role=img] ellipse')).toHaveLength(2);
  expect(screen.button('Take another photo')).toBeTruthy();
  expect(api.submit).not.toHaveBeenCalled();
});

test('a rejected photo cannot be tried again', async () => {
  const { api, screen } = capture(photo);
  api.uploadPhoto.mockResolvedValue(photoFixture('p1'));
  api.check.mockResolvedValue(checkFixture({ usable: false, iris: null }));
  await screen.press('Process');
  expect(screen.all('button')).toHaveLength(0);
  expect(screen.all('input[type=file]')).toHaveLength(2);
});

test('a double tap on Process uploads once and cancels nothing', async () => {
  const { api, screen } = capture(photo);
  const process = screen.button('Process');
  await screen.press('Process');
  process.click();
  screen.button('Cancel').click();
  await flushPromises();
  expect(screen.button('One moment')).toBe(process);
  expect(api.uploadPhoto).toHaveBeenCalledOnce();
  expect(api.uploadPhoto.mock.calls[0]?.[1].signal.aborted).toBe(false);
});

test('submitting cannot be cancelled', async () => {
  const { api, screen } = capture(photo);
  api.uploadPhoto.mockResolvedValue(photoFixture('p1'));
  api.check.mockResolvedValue(checkFixture());
  await screen.press('Process');
  expect(api.submit).toHaveBeenCalledOnce();
  expect(screen.all('button').map((button) => button.textContent.trim())).toEqual(['One moment…']);
});

test.each([
  ['HEIC', photoFile('IMG_1.HEIC', [0, 0, 0, 24, ...ascii('ftypheic'), 0, 0, 0, 0, ...ascii('mif1heic')], ''), 'Most Compatible'],
  ['not a photo', new File(['Dear diary'], 'notes.txt', { type: 'text/plain' }), 'Choose a JPEG'],
  ['empty', new File([], 'eye.jpg', { type: 'image/jpeg' }), 'Choose another photo'],
])('a file that is %s is rejected when it is picked, and nothing is sent', async (what, file, advice) => {
  const { api, screen } = capture(file);
  await vi.waitFor(() => expect(screen.all('[role=alert]')).toHaveLength(1));
  await flushPromises();
  const notice = screen.one('[role=alert]').textContent;
  expect(notice).toContain(what);
  expect(notice).toContain(advice);
  expect(screen.button('Take another photo')).toBeTruthy();
  expect(screen.all('button')).toHaveLength(0);
  expect(api.uploadPhoto).not.toHaveBeenCalled();
});

test('without consent nothing is sent, and it can be tried again', async () => {
  const { api, screen } = capture(photo);
  api.uploadPhoto.mockRejectedValue(new ConsentDeclinedError());
  await screen.press('Process');
  expect(screen.one('[role=alert]').textContent).toContain('only when you agree');
  expect(screen.button('Try again')).toBeTruthy();
});

test('without a quality check the job is submitted all the same', async () => {
  const { api, onsubmitted, screen } = capture(photo);
  api.uploadPhoto.mockResolvedValue(photoFixture('p1'));
  api.check.mockRejectedValue(new ApiError(503, 'unavailable', 'Busy.'));
  api.submit.mockResolvedValue(jobFixture());
  await screen.press('Process');
  expect(onsubmitted).toHaveBeenCalledExactlyOnceWith(jobFixture(), null);
});

test('shows the share sent, and can be cancelled', async () => {
  const { api, screen } = capture(photo);
  await screen.press('Process');
  const options = api.uploadPhoto.mock.calls[0]?.[1];
  options?.onSent(0.4);
  await flushPromises();
  expect(screen.one<HTMLProgressElement>('progress').value).toBeCloseTo(0.4);
  passGuardTime();
  await screen.press('Cancel');
  expect(options?.signal.aborted).toBe(true);
});

test('a photo that the server cannot read shows the reason and asks for another', async () => {
  const { api, screen } = capture(photo);
  api.uploadPhoto.mockRejectedValue(
    new ApiError(415, 'unsupported_format', 'HEIC photos are not read here.', { suggestion: 'Share it as JPEG.' }),
  );
  await screen.press('Process');
  const notice = screen.one('[role=alert]').textContent;
  expect(notice).toContain('HEIC photos are not read here.');
  expect(notice).toContain('Share it as JPEG.');
  expect(screen.button('Take another photo')).toBeTruthy();
});

test('after a network error the same photo can be tried again', async () => {
  const { api, screen } = capture(photo);
  api.uploadPhoto.mockRejectedValue(new NetworkError());
  await screen.press('Process');
  expect(screen.one('[role=alert]').textContent).toContain('Check your connection');
  expect(screen.all('input[type=file]')).toHaveLength(0);
  await screen.press('Try again');
  expect(api.uploadPhoto).toHaveBeenCalledTimes(2);
});

test('an uploaded photo is not uploaded again when only submitting failed', async () => {
  const { api, onsubmitted, screen } = capture(photo);
  api.uploadPhoto.mockResolvedValue(photoFixture('p1'));
  api.check.mockResolvedValue(checkFixture());
  api.submit.mockRejectedValueOnce(new ApiError(503, 'busy', 'Busy.'));
  await screen.press('Process');
  api.submit.mockResolvedValue(jobFixture());
  await screen.press('Try again');
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
