import { expect, test, vi } from 'vitest';
import { ApiError, Unreachable, type Job as JobAnswer } from '../../api';
import { jobLike, quietApi, settle, show, waitForGuards } from '../../testing/stage';
import Job from './Job.svelte';

const id = jobLike().job_id;

function open(fresh: JobAnswer | null, prepare: (api: ReturnType<typeof quietApi>) => void) {
  const api = quietApi();
  prepare(api);
  const props = { onpick: vi.fn(), onsubmitted: vi.fn(), onleave: vi.fn() };
  return { api, onleave: props.onleave, stage: show(Job, { api, id, fresh, ...props }) };
}

test('a job just submitted is watched at once', () => {
  const { api } = open(jobLike({ status: 'pending' }), () => undefined);
  expect(api.watch).toHaveBeenCalledOnce();
  expect(api.job).not.toHaveBeenCalled();
});

test('a running job found by its address goes on being watched', async () => {
  const { api } = open(null, (api) => api.job.mockResolvedValue(jobLike({ status: 'processing' })));
  await settle();
  expect(api.watch.mock.calls[0]?.[0]).toBe(id);
});

test('a finished job shows its picture without playing the steps', async () => {
  const { api, stage } = open(null, (api) => api.job.mockResolvedValue(jobLike()));
  await settle();
  expect(stage.text()).toContain('Your iris');
  expect(api.watch).not.toHaveBeenCalled();
});

test('a failed job shows its problem', async () => {
  const { stage } = open(null, (api) =>
    api.job.mockResolvedValue(jobLike({ status: 'failed', error_type: 'quality_issue', error_message: 'Too dark.' })),
  );
  await settle();
  expect(stage.text()).toContain('Too dark.');
});

test('a job that is not there says so, and does not offer to try again', async () => {
  const { stage } = open(null, (api) => api.job.mockRejectedValue(new ApiError(404, 'not_found', 'Job not found')));
  await settle();
  expect(stage.text()).toContain('This picture is not here.');
  expect(stage.all('button').map((button) => button.textContent)).toEqual(['New photo']);
});

test('a job that could not be asked for can be asked for again', async () => {
  const { api, stage } = open(null, (api) => api.job.mockRejectedValue(new Unreachable()));
  await settle();
  expect(stage.text()).toContain('We could not reach Irisflow.');
  api.job.mockResolvedValue(jobLike());
  await stage.press('Try again');
  expect(stage.text()).toContain('Your iris');
});

test('a job that is deleted while it is watched says so, and offers a new photo', async () => {
  const { stage } = open(jobLike({ status: 'pending' }), (api) =>
    api.watch.mockRejectedValue(new ApiError(404, 'job_not_found', 'Job not found')),
  );
  await settle();
  expect(stage.text()).toContain('This picture is not here. It may have been deleted.');
  expect(stage.all('button').map((button) => button.textContent)).toEqual(['New photo']);
});

test.each(['completed', 'failed'] as const)('the photo of a %s job can be deleted after a second thought', async (status) => {
  const { api, onleave, stage } = open(null, (api) => {
    api.job.mockResolvedValue(jobLike({ status }));
    api.deletePhoto.mockResolvedValue(undefined);
  });
  await settle();
  await stage.press('Delete this photo');
  await stage.press('Yes, delete');
  expect(api.deletePhoto).not.toHaveBeenCalled();
  waitForGuards();
  await stage.press('Yes, delete');
  expect(api.deletePhoto).toHaveBeenCalledExactlyOnceWith(jobLike().photo_id);
  expect(onleave).toHaveBeenCalledOnce();
});

test('a photo that could not be deleted is still there', async () => {
  const { api, onleave, stage } = open(null, (api) => api.job.mockResolvedValue(jobLike()));
  await settle();
  api.deletePhoto.mockRejectedValue(new ApiError(503, 'unavailable', 'Busy.'));
  await stage.press('Delete this photo');
  waitForGuards();
  await stage.press('Yes, delete');
  expect(stage.one('[role=alert]').textContent).toContain('busy');
  expect(onleave).not.toHaveBeenCalled();
});
