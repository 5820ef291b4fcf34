// What the three transports have in common: the parts of one connection, and what ends it.

import { FIRST_PROBE_MS, type End } from '../connection-policy.ts';
import { ApiError, isTransient } from '../errors.ts';
import type { ErrorFrame, Filter, ServerFrame } from '../frames.ts';
import { readAnswer } from '../http.ts';
import { monitorLiveness, type LivenessLimits } from '../liveness.ts';

/** Enough of the WebSocket of browsers; that of the package `ws` fits too. */
export interface SocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(): void;
}

export type SocketConstructor = new (url: string) => SocketLike;

export interface LinkLimits {
  websocket: LivenessLimits;
  sse: LivenessLimits;
  longPoll: LivenessLimits;
  /** How long the server may hold a long poll. */
  waitMs: number;
  /** From a fallback to the first probe of a better transport. */
  probeMs: number;
}

export const LINK_LIMITS: LinkLimits = {
  // The server's pings are invisible to browsers, so a quiet socket is pinged.
  websocket: { firstMs: 10_000, quietMs: 30_000, answerMs: 10_000 },
  // The server sends a comment every 15 s.
  sse: { firstMs: 10_000, quietMs: 20_000, answerMs: 20_000 },
  longPoll: { firstMs: 35_000, quietMs: 0, answerMs: 35_000 },
  waitMs: 25_000,
  probeMs: FIRST_PROBE_MS,
};

/** One connection. */
export interface Link {
  baseUrl: string;
  fetch: typeof fetch;
  WebSocket: SocketConstructor | undefined;
  token: string;
  /** Another token, since the present one is about to expire. */
  renewToken(): Promise<string>;
  /** The position to resume at. */
  cursor(): string | null;
  filter: Filter | null;
  limits: LinkLimits;
  wake: EventTarget;
  /** Ends the connection. Not aborted at the beginning. */
  signal: AbortSignal;
  /** The transport works. */
  alive(): void;
  /** Processes a frame; an answer ends the connection. */
  receive(frame: ServerFrame): End | null;
}

/** Holds one connection until it ends, and never rejects. */
export type Connect = (link: Link) => Promise<End>;

export const ABORTED: End = { kind: 'lost', reason: 'aborted' };

/** Runs the requests of a connection; `run` calls `touch` for everything received. */
export async function withLivenessMonitor(
  link: Link,
  limits: LivenessLimits,
  deadReason: string,
  run: (signal: AbortSignal, touch: () => void) => Promise<End>,
): Promise<End> {
  const request = new AbortController();
  const abort = () => request.abort();
  let dead = false;
  const liveness = monitorLiveness(limits, link.wake, {
    onDead() {
      dead = true;
      abort();
    },
  });
  link.signal.addEventListener('abort', abort);
  try {
    const end = await run(request.signal, liveness.touch);
    return dead ? { kind: 'lost', reason: deadReason } : end;
  } finally {
    liveness.stop();
    link.signal.removeEventListener('abort', abort);
    abort();
  }
}

/** A request to `GET /api/v1/events`. An answer that is not usable is an end. */
export async function requestEvents(
  link: Link,
  accept: string,
  query: Record<string, string>,
  signal: AbortSignal,
): Promise<Response | End> {
  const cursor = link.cursor();
  const parameters = new URLSearchParams(query);
  if (cursor !== null) parameters.set('cursor', cursor);
  if (link.filter?.job_ids) parameters.set('job_id', link.filter.job_ids.join(','));
  if (link.filter?.batch_id) parameters.set('batch_id', link.filter.batch_id);
  const headers = { accept, authorization: `Bearer ${link.token}` };
  const url = `${link.baseUrl}/api/v1/events?${parameters}`;
  let response: Response;
  try {
    response = await link.fetch(url, { headers, signal, cache: 'no-store' });
  } catch {
    return signal.aborted ? ABORTED : { kind: 'unreachable', reason: 'the server cannot be reached' };
  }
  const { status } = response;
  if (response.ok && response.headers.get('content-type')?.startsWith(accept)) return response;
  if (response.ok)
    return { kind: 'lost', reason: `the answer is not ${accept}: something else than the server answers` };
  if ([404, 405, 406, 501].includes(status)) return { kind: 'unsupported', reason: `HTTP status ${status}` };
  return endOfError(await errorOf(response));
}

async function errorOf(response: Response): Promise<ApiError> {
  try {
    readAnswer(response.status, response.headers.get('retry-after'), await response.text());
  } catch (error) {
    if (error instanceof ApiError) return error;
  }
  return new ApiError(response.status, null, null);
}

export function endOfError(error: ApiError): End {
  if (error.status === 401) return { kind: 'token_rejected', error };
  if (isTransient(error)) return { kind: 'overloaded', error };
  return { kind: 'refused', error };
}

const TOKEN_CODES = ['token_expired', 'invalid_token', 'not_authenticated'];
const PASSING_CODES = [
  'too_many_connections',
  'too_many_sockets',
  'rate_limited',
  'internal',
  'unavailable',
  'busy',
  // A phone that sleeps between the opening of the socket and its first frame.
  'hello_missing',
];

export function endOfErrorFrame({ code, detail, error, suggestion, retry_in_ms }: ErrorFrame): End {
  const retryAfterMs = retry_in_ms ?? null;
  const passing = PASSING_CODES.includes(code) || retryAfterMs !== null;
  const status = TOKEN_CODES.includes(code) ? 401 : passing ? 503 : 403;
  return endOfError(new ApiError(status, code, detail || error, { suggestion: suggestion ?? null, retryAfterMs }));
}
