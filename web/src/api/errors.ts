// Everything that can go wrong between the page and the server, in the kinds that a screen treats
// differently: an error answer, no answer, a session that has ended, consent that was declined.
// What people read about them is in `error-text.ts`.

import { texts } from '../texts';

/** The server answered with an error. Screens match on `code`. */
export class ApiError extends Error {
  override name = 'ApiError';

  constructor(
    readonly status: number,
    readonly code: string | null,
    message: string,
    readonly suggestion: string | null = null,
    /** From `Retry-After`. */
    readonly retryAfterS: number | null = null,
  ) {
    super(message);
  }
}

/** No answer: the network is down, the server is not reachable, or the request timed out. */
export class NetworkError extends Error {
  override name = 'NetworkError';
}

/** The session has ended and could not be renewed. */
export class SignedOutError extends Error {
  override name = 'SignedOutError';
}

/** The person declined the consent that the server requires. */
export class ConsentDeclinedError extends Error {
  override name = 'ConsentDeclinedError';
}

/** Whether only another photo helps. After other errors the same request may succeed later. */
export function isAboutThePhoto(error: unknown): boolean {
  return error instanceof ApiError && error.code !== null && PHOTO_CODES.has(error.code);
}

const PHOTO_CODES = new Set([
  'not_an_image',
  'unsupported_format',
  'image_too_large',
  'no_iris_found',
  'iris_too_small',
  'too_blurry',
  'too_dark',
  'overexposed',
  'iris_covered',
  'iris_cut_off',
  'photo_expired',
]);

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** Whether the request failed for a reason that may be gone on the next try. */
export function isTransient(error: unknown): boolean {
  return error instanceof NetworkError || (error instanceof ApiError && error.status >= 500);
}

/** Turns the body of an error answer into an `ApiError`. A proxy's body without our fields is accepted too. */
export function apiErrorFrom(status: number, body: unknown, retryAfter: string | null = null): ApiError {
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  return new ApiError(
    status,
    textOrNull(fields['code']),
    detailText(fields['detail']) ?? statusText(status),
    textOrNull(fields['suggestion']),
    retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null,
  );
}

/** `detail` is a sentence, or a list of validation issues. */
function detailText(detail: unknown): string | null {
  if (typeof detail === 'string' && detail !== '') return detail;
  if (!Array.isArray(detail)) return null;
  const messages = detail
    .map((entry: unknown) => textOrNull((entry as { msg?: unknown } | null)?.msg))
    .filter((message) => message !== null);
  return messages.length > 0 ? messages.join(' ') : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function statusText(status: number): string {
  if (status === 413) return texts.errors.photoTooLarge;
  if (status === 429) return texts.errors.tooManyRequests;
  return status >= 500 ? texts.errors.serverError : texts.errors.otherStatus;
}
