import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError, isAbort, NetworkError, SignedOutError } from './errors';
import type { SignOutReason } from './http';
import type { JobStatus } from './types';
import { watchJob, type JobView } from './watch-job';

const FINDING_IRIS = 'Finding your iris...';

class Socket {
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed = false;
  constructor(readonly token: string) {}
  close(): void {
    this.closed = true;
  }
  receive(frame: object | string): void {
    this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  }
  progress(progress: number, step = FINDING_IRIS): void {
    this.receive({ job_id: 'j', status: 'processing', progress, step });
  }
  refuse(code: string, closeCode = 1008): void {
    // Everything besides the code is for people and for older clients.
    this.receive({ error: 'text', detail: 'text', code, status: 'failed', progress: 0, step: 'Processing...' });
    this.onclose?.({ code: closeCode });
  }
  drop(code = 1006): void {
    this.onclose?.({ code });
  }
}

const finished = { job_id: 'j', status: 'completed', progress: 100, step: 'Complete!', before_url: '/b' } as JobStatus;
const running = { job_id: 'j', status: 'processing', progress: 40, step: FINDING_IRIS } as JobStatus;

function startWatching() {
  const sockets: Socket[] = [];
  const views: JobView[] = [];
  const controller = new AbortController();
  const wake = new EventTarget();
  let token = 'token-1';
  const watched = {
    sockets,
    views,
    controller,
    wake,
    readJob: vi.fn((): Promise<JobStatus> => Promise.resolve(finished)),
    renew: vi.fn((): Promise<string> => Promise.resolve((token = 'token-2'))),
    signOut: vi.fn((_: SignOutReason): SignedOutError => new SignedOutError()),
    end: undefined as unknown as Promise<JobStatus>,
    socket: () => sockets.at(-1) as Socket,
  };
  watched.end = watchJob({
    openSocket: (given) => {
      const socket = new Socket(given);
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    readJob: () => watched.readJob(),
    accessToken: () => token,
    renew: () => watched.renew(),
    signOut: (reason) => watched.signOut(reason),
    onView: (view) => views.push(view),
    signal: controller.signal,
    random: () => 1,
    wake,
  });
  watched.end.catch(() => undefined);
  return watched;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const flushPromises = () => vi.advanceTimersByTimeAsync(0);

test('progress is reported as it arrives, and the final job is read over HTTP', async () => {
  const watched = startWatching();
  watched.socket().progress(20);
  watched.socket().progress(40);
  watched.socket().receive({ job_id: 'j', status: 'completed', progress: 100, step: 'Complete!' });
  await expect(watched.end).resolves.toBe(finished);
  expect(watched.views.map(({ progress }) => progress)).toEqual([20, 40, 100]);
  expect(watched.sockets).toHaveLength(1);
  expect(watched.socket().closed).toBe(true);
});

test('progress never goes back when frames arrive late', async () => {
  const watched = startWatching();
  for (const progress of [20, 60, 40, 50, 5, 70]) watched.socket().progress(progress);
  expect(watched.views.map(({ progress }) => progress)).toEqual([20, 60, 60, 60, 60, 70]);
});

test('frames that a new socket repeats do not bring back an earlier step', async () => {
  const watched = startWatching();
  watched.socket().progress(50, 'Removing reflections...');
  watched.socket().refuse('token_expired');
  await flushPromises();
  watched.socket().progress(20, FINDING_IRIS);
  expect(watched.views.at(-1)).toEqual({ progress: 50, step: 'Removing reflections...', connected: true });
  watched.socket().progress(70, 'Enhancing quality...');
  expect(watched.views.at(-1)?.step).toBe('Enhancing quality...');
});

test('no socket is opened after the end', async () => {
  const watched = startWatching();
  watched.socket().receive({ job_id: 'j', status: 'failed', progress: 40, step: FINDING_IRIS });
  watched.socket().drop(1000);
  await watched.end;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(watched.sockets).toHaveLength(1);
});

test('a cancelled job ends the watch, although its frame says failed', async () => {
  const watched = startWatching();
  const cancelled = { ...running, status: 'cancelled' } as JobStatus;
  watched.readJob.mockResolvedValue(cancelled);
  watched.socket().receive({ job_id: 'j', status: 'failed', code: 'cancelled', progress: 40, step: FINDING_IRIS });
  await expect(watched.end).resolves.toBe(cancelled);
});

describe('a lost socket', () => {
  test('is reopened after growing delays', async () => {
    const watched = startWatching();
    watched.readJob.mockResolvedValue(running);
    for (const delayMs of [500, 1000, 2000, 4000, 8000, 15000, 15000]) {
      const count = watched.sockets.length;
      watched.socket().drop();
      await vi.advanceTimersByTimeAsync(delayMs - 1);
      expect(watched.sockets).toHaveLength(count);
      await vi.advanceTimersByTimeAsync(1);
      expect(watched.sockets).toHaveLength(count + 1);
    }
  });

  test('that received a frame resets the delay', async () => {
    const watched = startWatching();
    watched.readJob.mockResolvedValue(running);
    watched.socket().drop();
    await vi.advanceTimersByTimeAsync(500);
    watched.socket().drop();
    await vi.advanceTimersByTimeAsync(1000);
    watched.socket().progress(50);
    watched.socket().drop();
    await vi.advanceTimersByTimeAsync(500);
    expect(watched.sockets).toHaveLength(4);
  });

  test('is reported as disconnected until a frame arrives', async () => {
    const watched = startWatching();
    watched.readJob.mockRejectedValue(new NetworkError());
    watched.socket().progress(20);
    watched.socket().drop();
    await vi.advanceTimersByTimeAsync(500);
    expect(watched.views.at(-1)?.connected).toBe(false);
    watched.socket().progress(40);
    expect(watched.views.at(-1)).toEqual({ progress: 40, step: FINDING_IRIS, connected: true });
  });

  test('is not needed to find the end: the job is read over HTTP', async () => {
    const watched = startWatching();
    watched.socket().drop();
    await expect(watched.end).resolves.toBe(finished);
  });

  test('that never works is replaced by progress over HTTP', async () => {
    const watched = startWatching();
    watched.readJob.mockResolvedValue(running);
    watched.socket().drop();
    await flushPromises();
    expect(watched.views.at(-1)).toMatchObject({ progress: 40, step: FINDING_IRIS });
  });

  test('is reopened at once when the page wakes up', async () => {
    const watched = startWatching();
    watched.readJob.mockResolvedValue(running);
    for (let count = 0; count < 5; count += 1) {
      watched.socket().drop();
      await vi.advanceTimersByTimeAsync(15_000);
    }
    const count = watched.sockets.length;
    watched.socket().drop();
    await flushPromises();
    watched.wake.dispatchEvent(new Event('wake'));
    await flushPromises();
    expect(watched.sockets).toHaveLength(count + 1);
  });
});

test('a silent socket is replaced, and the end is found over HTTP', async () => {
  const watched = startWatching();
  watched.readJob.mockResolvedValueOnce(running);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(watched.sockets).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(15_000);
  await expect(watched.end).resolves.toBe(finished);
});

test('a page that wakes up opens a new socket instead of trusting the old one', async () => {
  const watched = startWatching();
  watched.readJob.mockResolvedValueOnce(running);
  watched.socket().progress(20);
  watched.wake.dispatchEvent(new Event('wake'));
  await flushPromises();
  expect(watched.sockets).toHaveLength(2);
  expect(watched.views.at(-1)?.connected).toBe(true);
});

describe('a close reason from the server', () => {
  test('expired token: it is renewed, and the next socket uses the new one', async () => {
    const watched = startWatching();
    watched.socket().progress(20);
    watched.socket().refuse('token_expired');
    await flushPromises();
    expect(watched.renew).toHaveBeenCalledOnce();
    expect(watched.sockets.map(({ token }) => token)).toEqual(['token-1', 'token-2']);
  });

  test('invalid token three times: the session ends', async () => {
    const watched = startWatching();
    for (let count = 0; count < 3; count += 1) {
      watched.socket().refuse('invalid_token');
      await flushPromises();
    }
    await expect(watched.end).rejects.toBeInstanceOf(SignedOutError);
    expect(watched.signOut).toHaveBeenCalledExactlyOnceWith('ended');
  });

  test('account switched off: the session ends, and no socket is opened again', async () => {
    const watched = startWatching();
    watched.socket().progress(20);
    watched.socket().refuse('account_inactive');
    await expect(watched.end).rejects.toBeInstanceOf(SignedOutError);
    expect(watched.signOut).toHaveBeenCalledExactlyOnceWith('inactive');
    await vi.advanceTimersByTimeAsync(600_000);
    expect(watched.sockets).toHaveLength(1);
  });

  test('expired token: a renewal that fails on the network is retried', async () => {
    const watched = startWatching();
    watched.renew.mockRejectedValueOnce(new NetworkError());
    watched.socket().refuse('token_expired');
    await vi.advanceTimersByTimeAsync(500);
    expect(watched.renew).toHaveBeenCalledTimes(2);
    expect(watched.sockets).toHaveLength(2);
  });

  test('time limit of the socket: it is reopened', async () => {
    const watched = startWatching();
    watched.socket().progress(20);
    watched.socket().refuse('connection_timeout', 1000);
    await vi.advanceTimersByTimeAsync(500);
    expect(watched.sockets).toHaveLength(2);
    expect(watched.views.at(-1)?.connected).toBe(true);
  });

  test('drain: clients reconnect spread over two seconds', async () => {
    const watched = startWatching();
    watched.socket().receive({ type: 'closing', reason: 'drain' });
    watched.socket().drop(1012);
    await vi.advanceTimersByTimeAsync(1999);
    expect(watched.sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(watched.sockets).toHaveLength(2);
  });

  test.each(['job_not_found', 'deleted'])('%s: the watch ends', async (code) => {
    const watched = startWatching();
    watched.socket().refuse(code);
    await expect(watched.end).rejects.toBeInstanceOf(ApiError);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(watched.sockets).toHaveLength(1);
  });

  test('frames of unknown kinds are ignored', async () => {
    const watched = startWatching();
    for (const frame of ['not json', '7', 'null', '{"type":"ping"}', '{"status":"processing"}']) {
      watched.socket().receive(frame);
    }
    watched.socket().progress(20);
    expect(watched.views).toHaveLength(1);
  });
});

test('aborting closes the socket, also during a delay', async () => {
  const watched = startWatching();
  watched.readJob.mockResolvedValue(running);
  watched.controller.abort();
  expect(isAbort(await watched.end.catch((error: unknown) => error))).toBe(true);
  expect(watched.socket().closed).toBe(true);

  const delayed = startWatching();
  delayed.readJob.mockResolvedValue(running);
  delayed.socket().drop();
  await flushPromises();
  delayed.controller.abort();
  expect(isAbort(await delayed.end.catch((error: unknown) => error))).toBe(true);
});

test('a job that was deleted before it is read ends the watch', async () => {
  const watched = startWatching();
  watched.readJob.mockRejectedValue(new ApiError(404, 'job_not_found', 'Job not found'));
  watched.socket().receive({ job_id: 'j', status: 'completed', progress: 100, step: 'Complete!' });
  await expect(watched.end).rejects.toMatchObject({ status: 404 });
});
