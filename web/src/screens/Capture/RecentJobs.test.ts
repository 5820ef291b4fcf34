import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NetworkError, pageWake, type JobStatus } from '../../api';
import { flushPromises, render } from '../../testing/component-harness';
import { fakeApi } from '../../testing/fake-api';
import { jobFixture } from '../../testing/fixtures';
import RecentJobs from './RecentJobs.svelte';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const working = jobFixture({ job_id: 'a', status: 'processing', progress: 40 });
const finished = jobFixture({ job_id: 'a', thumbnail_url: '/small.jpg' });

async function renderRecentJobs(...answers: JobStatus[][]) {
  const api = fakeApi();
  for (const answer of answers) api.recentJobs.mockResolvedValueOnce(answer);
  const onopen = vi.fn();
  const screen = render(RecentJobs, { api, onopen });
  await flushPromises();
  const advance = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    await flushPromises();
  };
  const labels = () => screen.all('nav a').map((link) => link.getAttribute('aria-label'));
  return { api, onopen, screen, advance, labels };
}

test('shows completed, failed, cancelled and running jobs', async () => {
  const { labels, onopen, screen } = await renderRecentJobs([
    working,
    jobFixture({ job_id: 'b' }),
    jobFixture({ job_id: 'c', status: 'failed', result_url: null }),
    jobFixture({ job_id: 'd', status: 'cancelled', result_url: null }),
  ]);
  expect(labels()).toEqual(['Working, 40 %', 'Finished picture', 'Did not work', 'Stopped']);
  (screen.all('nav a')[1] as HTMLElement).click();
  expect(onopen).toHaveBeenCalledWith('b');
});

test('loads the thumbnail, never the full result', async () => {
  const { screen } = await renderRecentJobs([finished, jobFixture({ job_id: 'b', thumbnail_url: null })]);
  expect(screen.all('img').map((image) => image.getAttribute('src'))).toEqual(['/small.jpg']);
  expect(screen.all('nav a')).toHaveLength(2);
});

test('a running job becomes its picture without a reload', async () => {
  const { labels, advance, screen } = await renderRecentJobs([working], [finished]);
  await advance(2_000);
  expect(labels()).toEqual(['Finished picture']);
  expect(screen.one<HTMLImageElement>('img').getAttribute('src')).toBe('/small.jpg');
});

test('polls slowly while no job is running, and at once when the page wakes up', async () => {
  const { api, advance } = await renderRecentJobs([finished], [finished], [finished]);
  await advance(19_000);
  expect(api.recentJobs).toHaveBeenCalledTimes(1);
  await advance(1_000);
  expect(api.recentJobs).toHaveBeenCalledTimes(2);
  pageWake.dispatchEvent(new Event('wake'));
  await advance(0);
  expect(api.recentJobs).toHaveBeenCalledTimes(3);
});

test('a newer URL of the same picture is not loaded, unless the first one fails', async () => {
  const renewed = { ...finished, thumbnail_url: '/small.jpg?new' };
  const { advance, screen } = await renderRecentJobs([finished], [renewed]);
  await advance(20_000);
  expect(screen.one('img').getAttribute('src')).toBe('/small.jpg');
  screen.one('img').dispatchEvent(new Event('error'));
  await flushPromises();
  expect(screen.one('img').getAttribute('src')).toBe('/small.jpg?new');
  screen.one('img').dispatchEvent(new Event('error'));
  await flushPromises();
  expect(screen.all('img')).toHaveLength(0);
  expect(screen.all('nav svg')).toHaveLength(1);
});

test('a failed poll leaves the strip as it is', async () => {
  const { api, labels, advance } = await renderRecentJobs([working]);
  api.recentJobs.mockRejectedValueOnce(new NetworkError()).mockResolvedValueOnce([finished]);
  await advance(2_000);
  expect(labels()).toEqual(['Working, 40 %']);
  await advance(2_000);
  expect(labels()).toEqual(['Finished picture']);
});

test('stops polling when it is unmounted', async () => {
  const { api, advance, screen } = await renderRecentJobs([working]);
  await screen.unmount();
  await advance(60_000);
  expect(api.recentJobs).toHaveBeenCalledOnce();
});
