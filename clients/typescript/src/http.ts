// Sends requests to the server: bearer token, JSON both ways, a time limit, retries where a repeated request
// does no harm.

import { backoffMs, delay, unlessAborted } from './delay.ts';
import { ApiError, apiErrorFrom, isTransient, NetworkError } from './errors.ts';
import type { Bearer } from './session.ts';

const TIME_LIMIT_MS = 30_000;
/** An upload of this many bytes a second or more is not cut off. */
const SLOWEST_UPLOAD_BYTES_PER_MS = 16;
const MAX_RETRIES = 3;
/** A server that wants a longer pause than this gets none of the retries; the caller decides. */
const LONGEST_PAUSE_MS = 30_000;

export interface Call {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, instead of `body`. */
  bytes?: Blob;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Without a session, as registering and signing in. */
  anonymous?: boolean;
  /** Whether to repeat the request after an outage. The default is true for GET alone. */
  retry?: boolean;
}

export interface HttpOptions {
  /** As in `https://iris.example.com`. The default is the page's own origin. */
  baseUrl: string;
  fetch: typeof fetch;
  bearer: Bearer;
  random: () => number;
}

export class Http {
  readonly options: HttpOptions;

  constructor(options: HttpOptions) {
    this.options = options;
  }

  url(path: string): string {
    return `${this.options.baseUrl}/api/v1${path}`;
  }

  /** A request with the session's token. `path` is below `/api/v1`. */
  request<Answer>(method: string, path: string, call: Call = {}): Promise<Answer> {
    const retry = call.retry ?? method === 'GET';
    return this.retrying(retry, call.signal, () => this.#authorized<Answer>(method, this.url(path), call));
  }

  /** Repeats a request after outages, if it may be repeated. */
  async retrying<T>(retry: boolean, signal: AbortSignal | undefined, request: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await request();
      } catch (error) {
        if (!retry || !isTransient(error) || attempt === MAX_RETRIES) throw error;
        const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
        if (asked > LONGEST_PAUSE_MS) throw error;
        await delay(asked + backoffMs(attempt, this.options.random), signal);
      }
    }
  }

  async #authorized<Answer>(method: string, url: string, call: Call): Promise<Answer> {
    const { bearer } = this.options;
    if (call.anonymous) return this.send<Answer>(method, url, call, null);
    const token = await unlessAborted(Promise.resolve(bearer()), call.signal);
    try {
      return await this.send<Answer>(method, url, call, token);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
    }
    const renewed = await unlessAborted(Promise.resolve(bearer(token)), call.signal);
    return this.send<Answer>(method, url, call, renewed);
  }

  /** One request, not repeated. */
  async send<Answer>(method: string, url: string, call: Call, token: string | null): Promise<Answer> {
    const headers = new Headers({ accept: 'application/json', ...call.headers });
    if (token !== null) headers.set('authorization', `Bearer ${token}`);
    if (call.body !== undefined) headers.set('content-type', 'application/json');
    const body = call.bytes ?? (call.body === undefined ? null : JSON.stringify(call.body));
    const uploadMs = (call.bytes?.size ?? 0) / SLOWEST_UPLOAD_BYTES_PER_MS;
    return withTimeLimit(TIME_LIMIT_MS + uploadMs, call.signal, async (signal) => {
      const response = await this.options.fetch(url, { method, headers, body, signal });
      return readAnswer<Answer>(response.status, response.headers.get('retry-after'), await response.text());
    });
  }
}

/** Runs a request; failures of the network, and the end of the time limit, become a `NetworkError`. */
async function withTimeLimit<T>(
  ms: number,
  signal: AbortSignal | undefined,
  request: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const limit = new AbortController();
  const abort = () => limit.abort();
  const timer = setTimeout(abort, ms);
  signal?.addEventListener('abort', abort);
  try {
    return await request(limit.signal);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof ApiError) throw error;
    throw new NetworkError(limit.signal.aborted ? `no answer within ${ms / 1000} s` : 'the server cannot be reached', {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** The body of an answer as JSON; null when it has none. */
export function readAnswer<Answer>(status: number, retryAfter: string | null, text: string): Answer {
  const ok = status >= 200 && status < 300;
  let body: unknown = null;
  try {
    if (text !== '') body = JSON.parse(text);
  } catch {
    if (ok) throw new ApiError(status, null, null);
  }
  if (!ok) throw apiErrorFrom(status, body, retryAfter);
  return body as Answer;
}
