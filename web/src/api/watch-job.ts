// Follows one job over its WebSocket until it is over, whatever happens to the socket.
// The socket only makes it fast: while it stays silent or cannot be opened, the job is
// read over HTTP, so a network that blocks sockets delays the screen and loses nothing.

import { ApiError, isAbort, SignedOut } from './errors';
import type { SignOutReason } from './http';
import { isFinal, type JobFrame, type Outlook, type JobStatus, type RefusalFrame } from './types';
import { aborted, backoffMs, pause } from './waiting';

/** After this long without a frame the socket may be dead without knowing it. */
const SILENCE_MS = 15_000;
/** A server that drains asks everybody to come back; they spread over this long. */
const DRAIN_SPREAD_MS = 2_000;
/** A socket that reached its time limit is opened again nearly at once. */
const LIMIT_SPREAD_MS = 500;
const CLOSED_FOR_DRAIN = 1012;

export interface JobView {
  progress: number;
  step: string;
  /** False while the connection is being found again. The job goes on meanwhile. */
  connected: boolean;
  /** What was last said of waiting; null once nothing is. */
  outlook?: Partial<Outlook>;
}

export interface Watching {
  openSocket(token: string): WebSocket;
  readJob(signal: AbortSignal): Promise<JobStatus>;
  accessToken(): string;
  renew(stale: string): Promise<string>;
  signOut(reason: SignOutReason): SignedOut;
  onView(view: JobView): void;
  signal: AbortSignal;
  random?: () => number;
  /** Dispatches `wake` when the page comes back to the front or online: worth trying at once. */
  wake?: EventTarget;
}

/** Why one socket ended. */
type Ending =
  | { kind: 'final' }
  | { kind: 'time_limit' }
  | { kind: 'token_refused' }
  | { kind: 'account_inactive' }
  | { kind: 'gone' }
  | { kind: 'drain' }
  | { kind: 'silent' }
  | { kind: 'lost' };

/** Resolves with the finished job. Rejects when it cannot be watched: gone, signed out, cancelled. */
export async function watchJob(watching: Watching): Promise<JobStatus> {
  const { random = Math.random } = watching;
  const view: JobView = { progress: 0, step: '', connected: false };
  const show = (seen: Partial<JobView>) => {
    // Progress never goes back. A new socket begins by repeating the last two seconds:
    // what is behind us by then was shown, and its step would be the wrong one.
    const behind = seen.progress !== undefined && seen.progress < view.progress;
    view.progress = Math.max(view.progress, seen.progress ?? 0);
    if (seen.step && !behind) view.step = seen.step;
    view.connected = seen.connected ?? view.connected;
    if (seen.outlook) view.outlook = seen.outlook;
    watching.onView({ ...view });
  };

  let failures = 0;
  let refusals = 0;
  for (;;) {
    const token = watching.accessToken();
    let heard = false;
    const ending = await listen(watching, token, (frame) => {
      heard = true;
      show({ progress: frame.progress, step: frame.step, connected: true });
      if (frame.waiting_because !== undefined) show({ outlook: frame });
    });
    if (heard) failures = refusals = 0;

    switch (ending.kind) {
      case 'final':
        return readFinished(watching);
      case 'gone':
        throw new ApiError(404, 'job_not_found', 'This picture is not here.', 'It may have been deleted.');
      case 'account_inactive':
        throw watching.signOut('inactive');
      case 'time_limit':
        await pause(random() * LIMIT_SPREAD_MS, watching.signal, watching.wake);
        continue;
      case 'token_refused':
        refusals += 1;
        if (refusals > 2) throw watching.signOut('ended');
        await renewPatiently(watching, token);
        continue;
      case 'drain':
        show({ connected: false });
        await pause(random() * DRAIN_SPREAD_MS, watching.signal, watching.wake);
        continue;
      case 'silent':
      case 'lost': {
        if (ending.kind === 'lost') show({ connected: false });
        const job = await readQuietly(watching);
        if (job && isFinal(job.status)) {
          show({ progress: job.progress, step: job.step });
          return job;
        }
        if (job) show({ progress: job.progress, step: job.step });
        if (ending.kind === 'silent' && job) continue;
        await pause(backoffMs(failures, random), watching.signal, watching.wake);
        failures += 1;
      }
    }
  }
}

/** Opens one socket and reads it to its end. */
function listen(watching: Watching, token: string, onFrame: (frame: JobFrame) => void): Promise<Ending> {
  return new Promise((resolve, reject) => {
    if (watching.signal.aborted) return reject(aborted());
    let socket: WebSocket;
    try {
      socket = watching.openSocket(token);
    } catch {
      return resolve({ kind: 'lost' });
    }
    let ended = false;
    let silence = setTimeout(() => end({ kind: 'silent' }), SILENCE_MS);

    const end = (ending: Ending) => {
      if (ended) return;
      finish();
      resolve(ending);
    };
    const cancel = () => {
      finish();
      reject(aborted());
    };
    const finish = () => {
      ended = true;
      clearTimeout(silence);
      watching.signal.removeEventListener('abort', cancel);
      watching.wake?.removeEventListener('wake', doubt);
      socket.close();
    };
    // After a sleep the socket may look open and be dead: ask, and open a new one.
    const doubt = () => end({ kind: 'silent' });
    watching.signal.addEventListener('abort', cancel, { once: true });
    watching.wake?.addEventListener('wake', doubt, { once: true });

    socket.onmessage = (message: MessageEvent) => {
      if (ended) return;
      clearTimeout(silence);
      silence = setTimeout(() => end({ kind: 'silent' }), SILENCE_MS);
      const frame = parseFrame(message.data);
      if (frame === null) return;
      if ('error' in frame) return end(endingOf(frame));
      onFrame(frame);
      if (isFinal(frame.status)) end({ kind: 'final' });
    };
    socket.onclose = (event: CloseEvent) => {
      end({ kind: event.code === CLOSED_FOR_DRAIN ? 'drain' : 'lost' });
    };
  });
}

function parseFrame(data: unknown): JobFrame | RefusalFrame | null {
  try {
    const frame = JSON.parse(String(data)) as Record<string, unknown> | null;
    if (typeof frame?.['error'] === 'string') return frame as unknown as RefusalFrame;
    // Other kinds of frames may come with time; what is not about progress is not for us.
    if (typeof frame?.['status'] !== 'string' || typeof frame['progress'] !== 'number') return null;
    return frame as unknown as JobFrame;
  } catch {
    return null;
  }
}

function endingOf({ code }: RefusalFrame): Ending {
  switch (code) {
    case 'connection_timeout':
      return { kind: 'time_limit' };
    case 'token_expired':
    case 'invalid_token':
    case 'not_authenticated':
      return { kind: 'token_refused' };
    case 'account_inactive':
      return { kind: 'account_inactive' };
    case 'job_not_found':
    case 'deleted':
      return { kind: 'gone' };
    default:
      return { kind: 'lost' };
  }
}

/** The final frame lacks some links; the job itself has them all. */
async function readFinished(watching: Watching): Promise<JobStatus> {
  for (let attempt = 0; ; attempt += 1) {
    const job = await readQuietly(watching);
    if (job && isFinal(job.status)) return job;
    await pause(backoffMs(attempt, watching.random), watching.signal, watching.wake);
  }
}

/** The job, or null when nobody answered just now. */
async function readQuietly(watching: Watching): Promise<JobStatus | null> {
  try {
    return await watching.readJob(watching.signal);
  } catch (error) {
    const passing = !(error instanceof ApiError) || error.status >= 500 || error.status === 429;
    if (isAbort(error) || error instanceof SignedOut || !passing) throw error;
    return null;
  }
}

async function renewPatiently(watching: Watching, stale: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await watching.renew(stale);
      return;
    } catch (error) {
      if (error instanceof SignedOut) throw error;
      await pause(backoffMs(attempt, watching.random), watching.signal, watching.wake);
    }
  }
}
