import { inMemoryTokens } from '@irisflow/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createApi, type JobView } from '.';

/** The socket that the client has opened last. */
let socket: FakeSocket;

class FakeSocket {
  readyState = 1;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  constructor() {
    socket = this;
  }
  send(): void {}
  close(): void {}
  receive(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', FakeSocket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const job = { job_id: 'j', status: 'processing', step: 'Preparing your image...', progress: 5 };
const finished = { ...job, status: 'completed', step: 'Complete!', progress: 100, before_url: '/b' };

function event(seq: number, fields: object) {
  return {
    type: 'event',
    prev: `e:${seq - 1}`,
    cursor: `e:${seq}`,
    event: { ...job, seq, kind: 'progress', ...fields },
  };
}

function watching() {
  const answers = [job, finished];
  const fetch = () => Promise.resolve(new Response(JSON.stringify(answers.shift() ?? finished)));
  const tokens = inMemoryTokens({ access_token: 'a', refresh_token: 'r' });
  const api = createApi({ fetch, tokens, onSignedOut: () => undefined });
  const views: JobView[] = [];
  const leaving = new AbortController();
  const end = api.watch('j', (view) => views.push(view), leaving.signal);
  return { views, end, leaving };
}

const settle = () => vi.advanceTimersByTimeAsync(0);

test('progress is shown as it arrives, and the final job is read with all its links', async () => {
  const { views, end } = watching();
  await settle();
  socket.receive({ type: 'snapshot', cursor: 'e:0', jobs: [job] });
  socket.receive(event(1, { progress: 20, step: 'Finding your iris...' }));
  await settle();
  socket.receive({ type: 'estimate', job_id: 'j', eta_ms: { low: 1, high: 2 } });
  await settle();
  expect(views.at(-1)).toMatchObject({ progress: 20, step: 'Finding your iris...', connected: true });
  expect(views.at(-1)?.estimate?.eta_ms).toEqual({ low: 1, high: 2 });
  socket.receive(event(2, { kind: 'completed', status: 'completed', progress: 100, step: 'Complete!' }));
  await expect(end).resolves.toEqual(finished);
});

test('a lost connection is shown until it is back', async () => {
  const { views, leaving, end } = watching();
  await settle();
  expect(views.every(({ connected }) => connected)).toBe(true);
  socket.receive({ type: 'snapshot', cursor: 'e:0', jobs: [job] });
  const lost = socket;
  lost.onclose?.({ code: 1012 });
  await settle();
  expect(views.at(-1)?.connected).toBe(false);
  await vi.advanceTimersByTimeAsync(2_000);
  socket.receive({ type: 'resumed', cursor: 'e:0' });
  await settle();
  expect(views.at(-1)?.connected).toBe(true);
  leaving.abort();
  await expect(end).rejects.toMatchObject({ name: 'AbortError' });
});
