// The errors of this package, in the kinds that callers treat differently. An aborted call rejects with the
// reason of its signal instead.

import type { JobState } from './types.ts';

/** The server answered with an error. `code` is for programs, `detail` for people. */
export class ApiError extends Error {
  override name = 'ApiError';
  /** Of the HTTP answer; of an error on a WebSocket, the status that the same error has over HTTP. */
  readonly status: number;
  readonly code: string | null;
  /** Also the `message`. Null when the answer has none, as that of a proxy. */
  readonly detail: string | null;
  /** One thing that the person can do. */
  readonly suggestion: string | null;
  /** When the server accepts the same request again, if it said so. */
  readonly retryAfterMs: number | null;

  constructor(
    status: number,
    code: string | null,
    detail: string | null,
    { suggestion = null, retryAfterMs = null }: { suggestion?: string | null; retryAfterMs?: number | null } = {},
  ) {
    super(detail ?? `HTTP status ${status}`);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.suggestion = suggestion;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The photo has more bytes than the server accepts. It was not sent. */
export class PhotoTooLargeError extends ApiError {
  override name = 'PhotoTooLargeError';
  readonly bytes: number;
  readonly maxBytes: number;

  constructor(bytes: number, maxBytes: number) {
    super(413, 'image_too_large', `The photo has ${bytes} bytes, and ${maxBytes} are accepted.`);
    this.bytes = bytes;
    this.maxBytes = maxBytes;
  }
}

/** No answer: the network is down, the server is not reachable, or the request timed out. */
export class NetworkError extends Error {
  override name = 'NetworkError';
}

/** There is no session, or it has ended and cannot be renewed. A `bearer` callback may throw it too. */
export class SignedOutError extends Error {
  override name = 'SignedOutError';
}

/** The job has ended without a result. The reason is in `job.error_code`, `error_message` and `suggestion`. */
export class JobFailedError extends Error {
  override name = 'JobFailedError';
  readonly job: JobState;

  constructor(job: JobState) {
    super(job.error_message ?? `the job is ${job.status}`);
    this.job = job;
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** Whether the request failed for a reason that may be gone on the next try. */
export function isTransient(error: unknown): boolean {
  if (error instanceof ApiError) return error.status >= 500 || error.status === 429 || error.status === 408;
  return error instanceof NetworkError;
}

/** The error of an answer. A proxy's body without our fields is accepted too. */
export function apiErrorFrom(status: number, body: unknown, retryAfter: string | null = null): ApiError {
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  return new ApiError(status, textOrNull(fields['code']), detailText(fields['detail']), {
    suggestion: textOrNull(fields['suggestion']),
    retryAfterMs: retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : null,
  });
}

/** `detail` is a sentence, or a list of validation issues. */
function detailText(detail: unknown): string | null {
  if (!Array.isArray(detail)) return textOrNull(detail);
  const messages = detail.map((issue: { msg?: unknown } | null) => textOrNull(issue?.msg));
  return textOrNull(messages.filter((message) => message !== null).join(' '));
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
