// The states of one job, and of all, for one reader. A slow reader skips states, never the last one.

import { backoffMs, delay } from './delay.ts';
import { ApiError, isTransient } from './errors.ts';
import type { ConnectionStatus, Feed } from './feed.ts';
import type { TimelineFrame } from './frames.ts';
import { Queue } from './queue.ts';
import { isFinal, type JobState, type JobStatus } from './types.ts';

interface WatchOptions {
  signal?: AbortSignal | undefined;
  onConnection?: (status: ConnectionStatus) => void;
}

export async function* watchJob(
  feed: Feed,
  jobId: string,
  readJob: (signal: AbortSignal) => Promise<JobStatus>,
  options: WatchOptions,
): AsyncGenerator<JobState, void> {
  const newest = new Queue<JobState>(1);
  const ended = new AbortController();
  let last: JobState | null = null;

  const offer = (job: JobState) => {
    // A read over HTTP and the events overtake each other.
    const older = last && (isFinal(last.status) || (job.progress < last.progress && !isFinal(job.status)));
    if (!older) newest.replace((last = job));
  };
  const read = () => {
    readPersistently(readJob, ended.signal).then(offer, (error: Error) => newest.fail(error));
  };
  const onFrame = (frame: TimelineFrame) => {
    if (frame.type === 'event' && frame.event.job_id === jobId && frame.event.kind === 'deleted') {
      newest.fail(new ApiError(404, 'job_not_found', 'The job was deleted.'));
    }
    const job = feed.timeline.jobs.get(jobId);
    if (job) offer(job);
    else if (frame.type === 'snapshot') read();
  };

  const unsubscribe = feed.subscribe({
    onFrame,
    onError: (error) => newest.fail(error),
    ...connectionListener(options),
  });
  // Subscribed first, read second: an end in between is not missed. What the feed has of a finished job may be
  // old, and its URLs expired.
  read();
  try {
    for (let job: JobState | null = null; !job || !isFinal(job.status);) {
      job = (await newest.take(options.signal)) as JobState;
      yield job;
    }
  } finally {
    ended.abort();
    unsubscribe();
  }
}

/** Outages do not end a watch. */
async function readPersistently(
  readJob: (signal: AbortSignal) => Promise<JobStatus>,
  signal: AbortSignal,
): Promise<JobStatus> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await readJob(signal);
    } catch (error) {
      if (!isTransient(error)) throw error;
      await delay(backoffMs(failures, Math.random), signal);
    }
  }
}

export async function* watchJobs(feed: Feed, options: WatchOptions): AsyncGenerator<JobState[], never> {
  const newest = new Queue<JobState[]>(1);
  const offer = () => {
    if (feed.timeline.complete) newest.replace(newestFirst([...feed.timeline.jobs.values()]));
  };
  offer();
  const unsubscribe = feed.subscribe({
    onFrame: offer,
    onError: (error) => newest.fail(error),
    ...connectionListener(options),
  });
  try {
    for (;;) yield (await newest.take(options.signal)) as JobState[];
  } finally {
    unsubscribe();
  }
}

function connectionListener({ onConnection }: WatchOptions) {
  return onConnection && { onConnection };
}

function newestFirst(jobs: JobState[]): JobState[] {
  const time = ({ created_at, updated_at }: JobState) => Date.parse(created_at ?? updated_at);
  return jobs.sort((a, b) => time(b) - time(a));
}
