import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError, NetworkError, type Job as JobAnswer } from '../../api';
import { flushPromises, passGuardTime, render } from '../../testing/component-harness';
import { fakeApi } from '../../testing/fake-api';
import { jobFixture } from '../../testing/fixtures';
import Job from './Job.svelte';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const id = jobFixture().job_id;

function open(submittedJob: JobAnswer | null, prepare: (api: ReturnType<typeof fakeApi>) => void) {
  const api = fakeApi();
  prepare(api);
  const props = { onpick: vi.fn(), onsubmitted: vi.fn(), onleave: vi.fn() };
  return { api, onleave: props.onleave, screen: render(Job, { api, id, submittedJob, ...props }) };
}

test('a job just submitted is watched at once', () => {
  const { api } = open(jobFixture({ status: 'pending' }), () => undefined);
  expect(api.watch).toHaveBeenCalledOnce();
  expect(api.job).not.toHaveBeenCalled();
});

test('a running job opened by its address is watched', async () => {
  const { api } = open(null, (api) => api.job.mockResolvedValue(jobFixture({ status: 'processing' })));
  await flushPromises();
  expect(api.watch.mock.calls[0]?.[0]).toBe(id);
});

test('a completed job shows its picture without the steps', async () => {
  const { api, screen } = open(null, (api) => api.job.mockResolvedValue(jobFixture()));
  await flushPromises();
  expect(screen.text()).toContain('Your iris');
  expect(api.watch).not.toHaveBeenCalled();
});

test('a failed job shows the reason', async () => {
  const { screen } = open(null, (api) =>
    api.job.mockResolvedValue(jobFixture({ status: 'failed', error_type: 'quality_issue', error_message: 'Too dark.' })),
  );
  await flushPromises();
  expect(screen.text()).toContain('Too dark.');
});

test('an unknown job cannot be tried again', async () => {
  const { screen } = open(null, (api) => api.job.mockRejectedValue(new ApiError(404, 'not_found', 'Job not found')));
  await flushPromises();
  expect(screen.text()).toContain('This picture is not here.');
  expect(screen.all('button').map((button) => button.textContent)).toEqual(['New photo']);
});

test('a job that could not be read can be read again', async () => {
  const { api, screen } = open(null, (api) => api.job.mockRejectedValue(new NetworkError()));
  await flushPromises();
  expect(screen.text()).toContain('We could not reach Irisflow.');
  api.job.mockResolvedValue(jobFixture());
  await screen.press('Try again');
  expect(screen.text()).toContain('Your iris');
});

test('a job that is deleted while it is watched offers a new photo', async () => {
  const { screen } = open(jobFixture({ status: 'pending' }), (api) =>
    api.watch.mockRejectedValue(new ApiError(404, 'job_not_found', 'Job not found')),
  );
  await flushPromises();
  expect(screen.text()).toContain('This picture is not here. It may have been deleted.');
  expect(screen.all('button').map((button) => button.textContent)).toEqual(['New photo']);
});

test.each(['completed', 'failed'] as const)('the photo of a %s job can be deleted after a confirmation', async (status) => {
  const { api, onleave, screen } = open(null, (api) => {
    api.job.mockResolvedValue(jobFixture({ status }));
    api.deletePhoto.mockResolvedValue(undefined);
  });
  await flushPromises();
  await screen.press('Delete this photo');
  await screen.press('Yes, delete');
  expect(api.deletePhoto).not.toHaveBeenCalled();
  passGuardTime();
  await screen.press('Yes, delete');
  expect(api.deletePhoto).toHaveBeenCalledExactlyOnceWith(jobFixture().photo_id);
  expect(onleave).toHaveBeenCalledOnce();
});

test('a photo that could not be deleted stays on the screen', async () => {
  const { api, onleave, screen } = open(null, (api) => api.job.mockResolvedValue(jobFixture()));
  await flushPromises();
  api.deletePhoto.mockRejectedValue(new ApiError(503, 'unavailable', 'Busy.'));
  await screen.press('Delete this photo');
  passGuardTime();
  await screen.press('Yes, delete');
  expect(screen.one('[role=alert]').textContent).toContain('busy');
  expect(onleave).not.toHaveBeenCalled();
});
