import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { pageWakes, Unreachable, type JobStatus } from '../../api';
import { jobLike, quietApi, settle, show } from '../../testing/stage';
import Recent from './Recent.svelte';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const working = jobLike({ job_id: 'a', status: 'processing', progress: 40 });
const finished = jobLike({ job_id: 'a', thumbnail_url: '/small.jpg' });

async function recent(...answers: JobStatus[][]) {
  const api = quietApi();
  for (const answer of answers) api.recentJobs.mockResolvedValueOnce(answer);
  const onopen = vi.fn();
  const stage = show(Recent, { api, onopen });
  await settle();
  const pass = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    await settle();
  };
  const labels = () => stage.all('nav a').map((link) => link.getAttribute('aria-label'));
  return { api, onopen, stage, pass, labels };
}

test('shows pictures, failures, stopped jobs and those still running', async () => {
  const { labels, onopen, stage } = await recent([
    working,
    jobLike({ job_id: 'b' }),
    jobLike({ job_id: 'c', status: 'failed', result_url: null }),
    jobLike({ job_id: 'd', status: 'cancelled', result_url: null }),
  ]);
  expect(labels()).toEqual(['Working, 40 %', 'Finished picture', 'Did not work', 'Stopped']);
  (stage.all('nav a')[1] as HTMLElement).click();
  expect(onopen).toHaveBeenCalledWith('b');
});

test('loads the thumbnail, and never the whole result', async () => {
  const { stage } = await recent([finished, jobLike({ job_id: 'b', thumbnail_url: null })]);
  expect(stage.all('img').map((image) => image.getAttribute('src'))).toEqual(['/small.jpg']);
  expect(stage.all('nav a')).toHaveLength(2);
});

test('a job that is being worked on becomes its picture without a reload', async () => {
  const { labels, pass, stage } = await recent([working], [finished]);
  await pass(2_000);
  expect(labels()).toEqual(['Finished picture']);
  expect(stage.one<HTMLImageElement>('img').getAttribute('src')).toBe('/small.jpg');
});

test('looks seldom while nothing is being worked on, and at once when the page comes back', async () => {
  const { api, pass } = await recent([finished], [finished], [finished]);
  await pass(19_000);
  expect(api.recentJobs).toHaveBeenCalledTimes(1);
  await pass(1_000);
  expect(api.recentJobs).toHaveBeenCalledTimes(2);
  pageWakes.dispatchEvent(new Event('wake'));
  await pass(0);
  expect(api.recentJobs).toHaveBeenCalledTimes(3);
});

test('a newer link to the same picture is not loaded again, unless the first one fails', async () => {
  const renewed = { ...finished, thumbnail_url: '/small.jpg?new' };
  const { pass, stage } = await recent([finished], [renewed]);
  await pass(20_000);
  expect(stage.one('img').getAttribute('src')).toBe('/small.jpg');
  stage.one('img').dispatchEvent(new Event('error'));
  await settle();
  expect(stage.one('img').getAttribute('src')).toBe('/small.jpg?new');
  stage.one('img').dispatchEvent(new Event('error'));
  await settle();
  expect(stage.all('img')).toHaveLength(0);
  expect(stage.all('nav svg')).toHaveLength(1);
});

test('an answer that does not come leaves the strip as it is', async () => {
  const { api, labels, pass } = await recent([working]);
  api.recentJobs.mockRejectedValueOnce(new Unreachable()).mockResolvedValueOnce([finished]);
  await pass(2_000);
  expect(labels()).toEqual(['Working, 40 %']);
  await pass(2_000);
  expect(labels()).toEqual(['Finished picture']);
});

test('asks no more once it is left', async () => {
  const { api, pass, stage } = await recent([working]);
  await stage.close();
  await pass(60_000);
  expect(api.recentJobs).toHaveBeenCalledOnce();
});
