// Everything that can go wrong between the page and the server, in the kinds a screen treats
// differently: the server said no, no answer came, the session is over, the person declined.

import { wordsOfCode, type Words } from './words';

/** The server answered with an error. Screens match on `code`; people read `message`. */
export class ApiError extends Error {
  override name = 'ApiError';

  constructor(
    readonly status: number,
    readonly code: string | null,
    message: string,
    readonly suggestion: string | null = null,
    /** How long the server asks to wait. */
    readonly retryAfterS: number | null = null,
  ) {
    super(message);
  }
}

/** No answer came: no network, the server is away, or it took too long. */
export class Unreachable extends Error {
  override name = 'Unreachable';

  constructor() {
    super('We could not reach Irisflow. Check your connection and try again.');
  }
}

/** The session is over and could not be renewed. */
export class SignedOut extends Error {
  override name = 'SignedOut';

  constructor() {
    super('Please sign in again.');
  }
}

/** The person does not agree to what the server needs their consent for. */
export class Declined extends Error {
  override name = 'Declined';

  constructor() {
    super('We work on your photo only when you agree.');
  }
}

/** Whether only another photo helps. A server that is busy or away wants another try. */
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

/** Turns an error answer's body into an `ApiError`. Tolerates bodies that are not ours. */
export function apiErrorFrom(status: number, body: unknown, retryAfter: string | null = null): ApiError {
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  return new ApiError(
    status,
    textOrNull(fields['code']),
    messageOf(fields['detail']) ?? fallbackMessage(status),
    textOrNull(fields['suggestion']),
    retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null,
  );
}

/** What to show a person for any error at all. */
export function wordsFor(error: unknown): Words {
  if (error instanceof ApiError) {
    return wordsOfCode(error.code, error.retryAfterS) ?? { message: error.message, suggestion: error.suggestion };
  }
  if (error instanceof Unreachable || error instanceof SignedOut || error instanceof Declined) {
    return { message: error.message, suggestion: null };
  }
  return { message: 'Something went wrong on this page.', suggestion: 'Reload the page and try again.' };
}

function messageOf(detail: unknown): string | null {
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

function fallbackMessage(status: number): string {
  if (status === 413) return 'This photo is too large to send.';
  if (status === 429) return 'Too many tries. Wait a minute, then try again.';
  if (status >= 500) return 'Irisflow has a problem at the moment. Please try again later.';
  return 'That did not work. Please try again.';
}
