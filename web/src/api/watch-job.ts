// Follows one job over its WebSocket until it ends, across reconnects. While the socket is silent or cannot
// be opened, the job is read over HTTP: a network that blocks sockets delays updates and loses none.

import { texts } from '../texts';
import { ApiError, isAbort, SignedOutError } from './errors';
import type { SignOutReason } from './http';
import { abortError, backoffMs, delayUntilWake } from './retry-delay';
import type { CloseReasonFrame, JobFrame } from './socket-frames';
import { isFinal, type Estimate, type JobStatus } from './types';

/** A socket without a frame for this long may be dead without having been closed. */
const SILENCE_MS = 15_000;
/** When the server drains for a restart, its clients reconnect within this time. */
const DRAIN_SPREAD_MS = 2_000;
/** A socket that reached the server's time limit is reopened within this time. */
const TIME_LIMIT_SPREAD_MS = 500;
const CLOSE_CODE_DRAIN = 1012;
const MAX_TOKEN_REFUSALS = 2;

export interface JobView {
  progress: number;
  step: string;
  /** False while reconnecting; the job itself goes on meanwhile. */
  connected: boolean;
  /** The latest one received. */
  estimate?: Partial<Estimate>;
}

export interface WatchOptions {
  openSocket(token: string): WebSocket;
  readJob(signal: AbortSignal): Promise<JobStatus>;
  accessToken(): string;
  renew(stale: string): Promise<string>;
  signOut(reason: SignOutReason): SignedOutError;
  onView(view: JobView): void;
  signal: AbortSignal;
  random?: () => number;
  /** Dispatches `wake` when the page comes to the foreground or online again: time to retry at once. */
  wake?: EventTarget;
}

/** Why one socket ended. */
type SocketEnd =
  | 'job_final'
  | 'time_limit'
  | 'token_refused'
  | 'account_inactive'
  | 'job_not_found'
  | 'drain'
  | 'silent'
  | 'lost';

/** Resolves with the finished job. Rejects when it cannot be watched: deleted, signed out, aborted. */
export async function watchJob(options: WatchOptions): Promise<JobStatus> {
  const { signal, wake, random = Math.random } = options;
  const updateView = createView(options.onView);
  let failures = 0;
  let refusals = 0;
  for (;;) {
    const token = options.accessToken();
    let received = false;
    const end = await readSocket(options, token, (frame) => {
      received = true;
      updateView({ progress: frame.progress, step: frame.step, connected: true });
      if (frame.waiting_because !== undefined) updateView({ estimate: frame });
    });
    if (received) failures = refusals = 0;

    switch (end) {
      case 'job_final':
        return readFinalJob(options);
      case 'job_not_found':
        throw jobNotFound();
      case 'account_inactive':
        throw options.signOut('inactive');
      case 'time_limit':
        await delayUntilWake(random() * TIME_LIMIT_SPREAD_MS, signal, wake);
        continue;
      case 'token_refused':
        refusals += 1;
        if (refusals > MAX_TOKEN_REFUSALS) throw options.signOut('ended');
        await renewWithRetries(options, token);
        continue;
      case 'drain':
        updateView({ connected: false });
        await delayUntilWake(random() * DRAIN_SPREAD_MS, signal, wake);
        continue;
      case 'silent':
      case 'lost': {
        if (end === 'lost') updateView({ connected: false });
        const job = await readJobOrNull(options);
        if (job) updateView({ progress: job.progress, step: job.step });
        if (job && isFinal(job.status)) return job;
        if (end === 'silent' && job) continue;
        await delayUntilWake(backoffMs(failures, random), signal, wake);
        failures += 1;
      }
    }
  }
}

/** Merges updates into one view. Progress never goes back. */
function createView(onView: (view: JobView) => void): (update: Partial<JobView>) => void {
  const view: JobView = { progress: 0, step: '', connected: false };
  return (update) => {
    // A new socket begins by repeating the last two seconds: the step of an old frame is over.
    const outdated = update.progress !== undefined && update.progress < view.progress;
    view.progress = Math.max(view.progress, update.progress ?? 0);
    if (update.step && !outdated) view.step = update.step;
    view.connected = update.connected ?? view.connected;
    if (update.estimate) view.estimate = update.estimate;
    onView({ ...view });
  };
}

/** Opens one socket and reads it to its end. */
function readSocket(options: WatchOptions, token: string, onFrame: (frame: JobFrame) => void): Promise<SocketEnd> {
  return new Promise((resolve, reject) => {
    if (options.signal.aborted) return reject(abortError());
    let socket: WebSocket;
    try {
      socket = options.openSocket(token);
    } catch {
      return resolve('lost');
    }
    let ended = false;
    let silence = setTimeout(() => end('silent'), SILENCE_MS);

    const end = (reason: SocketEnd) => {
      if (ended) return;
      close();
      resolve(reason);
    };
    const abort = () => {
      close();
      reject(abortError());
    };
    const close = () => {
      ended = true;
      clearTimeout(silence);
      options.signal.removeEventListener('abort', abort);
      options.wake?.removeEventListener('wake', reconnect);
      socket.close();
    };
    // After the device slept, a socket may look open and be dead.
    const reconnect = () => end('silent');
    options.signal.addEventListener('abort', abort, { once: true });
    options.wake?.addEventListener('wake', reconnect, { once: true });

    socket.onmessage = (message: MessageEvent) => {
      if (ended) return;
      clearTimeout(silence);
      silence = setTimeout(() => end('silent'), SILENCE_MS);
      const frame = parseFrame(message.data);
      if (frame === null) return;
      if ('error' in frame) return end(endOf(frame));
      onFrame(frame);
      if (isFinal(frame.status)) end('job_final');
    };
    socket.onclose = (event: CloseEvent) => end(event.code === CLOSE_CODE_DRAIN ? 'drain' : 'lost');
  });
}

/** Null for frames that are neither progress nor a reason to close: other kinds may be added. */
function parseFrame(data: unknown): JobFrame | CloseReasonFrame | null {
  try {
    const frame = JSON.parse(String(data)) as Record<string, unknown> | null;
    if (typeof frame?.['error'] === 'string') return frame as unknown as CloseReasonFrame;
    if (typeof frame?.['status'] !== 'string' || typeof frame['progress'] !== 'number') return null;
    return frame as unknown as JobFrame;
  } catch {
    return null;
  }
}

function endOf({ code }: CloseReasonFrame): SocketEnd {
  switch (code) {
    case 'connection_timeout':
      return 'time_limit';
    case 'token_expired':
    case 'invalid_token':
    case 'not_authenticated':
      return 'token_refused';
    case 'account_inactive':
      return 'account_inactive';
    case 'job_not_found':
    case 'deleted':
      return 'job_not_found';
    default:
      return 'lost';
  }
}

function jobNotFound(): ApiError {
  const { message, suggestion } = texts.errors.byCode.job_not_found;
  return new ApiError(404, 'job_not_found', message, suggestion);
}

/** The final frame lacks some URLs; the job itself has them all. */
async function readFinalJob(options: WatchOptions): Promise<JobStatus> {
  for (let attempt = 0; ; attempt += 1) {
    const job = await readJobOrNull(options);
    if (job && isFinal(job.status)) return job;
    await delayUntilWake(backoffMs(attempt, options.random), options.signal, options.wake);
  }
}

/** The job, or null after an error that a retry may fix. */
async function readJobOrNull(options: WatchOptions): Promise<JobStatus | null> {
  try {
    return await options.readJob(options.signal);
  } catch (error) {
    const transient = !(error instanceof ApiError) || error.status >= 500 || error.status === 429;
    if (isAbort(error) || error instanceof SignedOutError || !transient) throw error;
    return null;
  }
}

async function renewWithRetries(options: WatchOptions, stale: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await options.renew(stale);
      return;
    } catch (error) {
      if (error instanceof SignedOutError) throw error;
      await delayUntilWake(backoffMs(attempt, options.random), options.signal, options.wake);
    }
  }
}
