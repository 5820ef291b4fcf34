import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError, isAbort, SignedOut, Unreachable } from './errors';
import type { SignOutReason } from './http';
import type { JobStatus } from './types';
import { watchJob, type JobView } from './watch-job';

const FINDING = 'Finding your iris...';

class Socket {
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closedByUs = false;
  constructor(readonly token: string) {}
  close(): void {
    this.closedByUs = true;
  }
  says(frame: object | string): void {
    this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  }
  progress(progress: number, step = FINDING): void {
    this.says({ job_id: 'j', status: 'processing', progress, step });
  }
  refuses(code: string, closeCode = 1008): void {
    // What a refusal says besides its code is for people and for older clients.
    this.says({ error: 'words', detail: 'words', code, status: 'failed', progress: 0, step: 'Processing...' });
    this.onclose?.({ code: closeCode });
  }
  drops(code = 1006): void {
    this.onclose?.({ code });
  }
}

const finished = { job_id: 'j', status: 'completed', progress: 100, step: 'Complete!', before_url: '/b' } as JobStatus;
const running = { job_id: 'j', status: 'processing', progress: 40, step: FINDING } as JobStatus;

function watchOne() {
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
    signOut: vi.fn((_: SignOutReason): SignedOut => new SignedOut()),
    end: undefined as unknown as Promise<JobStatus>,
    newest: () => sockets.at(-1) as Socket,
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

const settle = () => vi.advanceTimersByTimeAsync(0);

test('progress is shown as it comes and the finished job is read whole', async () => {
  const watched = watchOne();
  watched.newest().progress(20);
  watched.newest().progress(40);
  watched.newest().says({ job_id: 'j', status: 'completed', progress: 100, step: 'Complete!' });
  await expect(watched.end).resolves.toBe(finished);
  expect(watched.views.map(({ progress }) => progress)).toEqual([20, 40, 100]);
  expect(watched.sockets).toHaveLength(1);
  expect(watched.newest().closedByUs).toBe(true);
});

test('progress never goes back, whatever arrives late', async () => {
  const watched = watchOne();
  for (const progress of [20, 60, 40, 50, 5, 70]) watched.newest().progress(progress);
  expect(watched.views.map(({ progress }) => progress)).toEqual([20, 60, 60, 60, 60, 70]);
});

test('what a new socket repeats does not bring back a step that is over', async () => {
  const watched = watchOne();
  watched.newest().progress(50, 'Removing reflections...');
  watched.newest().refuses('token_expired');
  await settle();
  watched.newest().progress(20, FINDING);
  expect(watched.views.at(-1)).toEqual({ progress: 50, step: 'Removing reflections...', connected: true });
  watched.newest().progress(70, 'Enhancing quality...');
  expect(watched.views.at(-1)?.step).toBe('Enhancing quality...');
});

test('after the end nothing is opened again', async () => {
  const watched = watchOne();
  watched.newest().says({ job_id: 'j', status: 'failed', progress: 40, step: FINDING });
  watched.newest().drops(1000);
  await watched.end;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(watched.sockets).toHaveLength(1);
});

test('a cancelled job ends the watch, although its frame says failed', async () => {
  const watched = watchOne();
  const cancelled = { ...running, status: 'cancelled' } as JobStatus;
  watched.readJob.mockResolvedValue(cancelled);
  watched.newest().says({ job_id: 'j', status: 'failed', code: 'cancelled', progress: 40, step: FINDING });
  await expect(watched.end).resolves.toBe(cancelled);
});

describe('a lost socket', () => {
  test('is opened again after growing pauses', async () => {
    const watched = watchOne();
    watched.readJob.mockResolvedValue(running);
    for (const pauseMs of [500, 1000, 2000, 4000, 8000, 15000, 15000]) {
      const count = watched.sockets.length;
      watched.newest().drops();
      await vi.advanceTimersByTimeAsync(pauseMs - 1);
      expect(watched.sockets).toHaveLength(count);
      await vi.advanceTimersByTimeAsync(1);
      expect(watched.sockets).toHaveLength(count + 1);
    }
  });

  test('that spoke makes the next pause short again', async () => {
    const watched = watchOne();
    watched.readJob.mockResolvedValue(running);
    watched.newest().drops();
    await vi.advanceTimersByTimeAsync(500);
    watched.newest().drops();
    await vi.advanceTimersByTimeAsync(1000);
    watched.newest().progress(50);
    watched.newest().drops();
    await vi.advanceTimersByTimeAsync(500);
    expect(watched.sockets).toHaveLength(4);
  });

  test('says so until a frame arrives', async () => {
    const watched = watchOne();
    watched.readJob.mockRejectedValue(new Unreachable());
    watched.newest().progress(20);
    watched.newest().drops();
    await vi.advanceTimersByTimeAsync(500);
    expect(watched.views.at(-1)?.connected).toBe(false);
    watched.newest().progress(40);
    expect(watched.views.at(-1)).toEqual({ progress: 40, step: FINDING, connected: true });
  });

  test('is not needed to learn the end: the job is read over HTTP', async () => {
    const watched = watchOne();
    watched.newest().drops();
    await expect(watched.end).resolves.toBe(finished);
  });

  test('that never works still shows progress from HTTP', async () => {
    const watched = watchOne();
    watched.readJob.mockResolvedValue(running);
    watched.newest().drops();
    await settle();
    expect(watched.views.at(-1)).toMatchObject({ progress: 40, step: FINDING });
  });

  test('is tried at once when the page wakes up', async () => {
    const watched = watchOne();
    watched.readJob.mockResolvedValue(running);
    for (let count = 0; count < 5; count += 1) {
      watched.newest().drops();
      await vi.advanceTimersByTimeAsync(15_000);
    }
    const count = watched.sockets.length;
    watched.newest().drops();
    await settle();
    watched.wake.dispatchEvent(new Event('wake'));
    await settle();
    expect(watched.sockets).toHaveLength(count + 1);
  });
});

test('a silent socket is doubted, and the end is found without it', async () => {
  const watched = watchOne();
  watched.readJob.mockResolvedValueOnce(running);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(watched.sockets).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(15_000);
  await expect(watched.end).resolves.toBe(finished);
});

test('a page that wakes up asks anew instead of trusting its old socket', async () => {
  const watched = watchOne();
  watched.readJob.mockResolvedValueOnce(running);
  watched.newest().progress(20);
  watched.wake.dispatchEvent(new Event('wake'));
  await settle();
  expect(watched.sockets).toHaveLength(2);
  expect(watched.views.at(-1)?.connected).toBe(true);
});

describe('the server says why', () => {
  test('an expired token is renewed, and the next socket carries the new one', async () => {
    const watched = watchOne();
    watched.newest().progress(20);
    watched.newest().refuses('token_expired');
    await settle();
    expect(watched.renew).toHaveBeenCalledOnce();
    expect(watched.sockets.map(({ token }) => token)).toEqual(['token-1', 'token-2']);
  });

  test('tokens refused again and again end as signed out', async () => {
    const watched = watchOne();
    for (let count = 0; count < 3; count += 1) {
      watched.newest().refuses('invalid_token');
      await settle();
    }
    await expect(watched.end).rejects.toBeInstanceOf(SignedOut);
    expect(watched.signOut).toHaveBeenCalledExactlyOnceWith('ended');
  });

  test('an account that was switched off is signed out, and no socket is opened again', async () => {
    const watched = watchOne();
    watched.newest().progress(20);
    watched.newest().refuses('account_inactive');
    await expect(watched.end).rejects.toBeInstanceOf(SignedOut);
    expect(watched.signOut).toHaveBeenCalledExactlyOnceWith('inactive');
    await vi.advanceTimersByTimeAsync(600_000);
    expect(watched.sockets).toHaveLength(1);
  });

  test('a renewal that nobody answers is tried again', async () => {
    const watched = watchOne();
    watched.renew.mockRejectedValueOnce(new Unreachable());
    watched.newest().refuses('token_expired');
    await vi.advanceTimersByTimeAsync(500);
    expect(watched.renew).toHaveBeenCalledTimes(2);
    expect(watched.sockets).toHaveLength(2);
  });

  test('the time limit of a socket is not the end of the job', async () => {
    const watched = watchOne();
    watched.newest().progress(20);
    watched.newest().refuses('connection_timeout', 1000);
    await vi.advanceTimersByTimeAsync(500);
    expect(watched.sockets).toHaveLength(2);
    expect(watched.views.at(-1)?.connected).toBe(true);
  });

  test('a drain spreads the return over two seconds', async () => {
    const watched = watchOne();
    watched.newest().says({ type: 'closing', reason: 'drain' });
    watched.newest().drops(1012);
    await vi.advanceTimersByTimeAsync(1999);
    expect(watched.sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(watched.sockets).toHaveLength(2);
  });

  test.each(['job_not_found', 'deleted'])('"%s" is the end', async (code) => {
    const watched = watchOne();
    watched.newest().refuses(code);
    await expect(watched.end).rejects.toBeInstanceOf(ApiError);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(watched.sockets).toHaveLength(1);
  });

  test('frames of kinds not yet known are passed over', async () => {
    const watched = watchOne();
    for (const frame of ['not json', '7', 'null', '{"type":"ping"}', '{"status":"processing"}']) {
      watched.newest().says(frame);
    }
    watched.newest().progress(20);
    expect(watched.views).toHaveLength(1);
  });
});

test('leaving closes the socket and ends as cancelled, also during a pause', async () => {
  const watched = watchOne();
  watched.readJob.mockResolvedValue(running);
  watched.controller.abort();
  expect(isAbort(await watched.end.catch((error: unknown) => error))).toBe(true);
  expect(watched.newest().closedByUs).toBe(true);

  const pausing = watchOne();
  pausing.readJob.mockResolvedValue(running);
  pausing.newest().drops();
  await settle();
  pausing.controller.abort();
  expect(isAbort(await pausing.end.catch((error: unknown) => error))).toBe(true);
});

test('a job that is gone by the time it is read ends the watch', async () => {
  const watched = watchOne();
  watched.readJob.mockRejectedValue(new ApiError(404, 'job_not_found', 'Job not found'));
  watched.newest().says({ job_id: 'j', status: 'completed', progress: 100, step: 'Complete!' });
  await expect(watched.end).rejects.toMatchObject({ status: 404 });
});
