// What a person reads about an error: the server's own sentence, or the page's where the server's is meant
// for programs.

import { texts } from '../texts';
import { ApiError, ConsentDeclinedError, NetworkError, PhotoTooLargeError, SignedOutError } from './errors';

export interface ErrorText {
  message: string;
  /** The one thing to do. */
  suggestion: string | null;
}

const BY_CODE = new Map<string, ErrorText>(Object.entries(texts.errors.byCode));
const WAIT_BY_CODE = new Map<string, string>(Object.entries(texts.errors.waitByCode));

export function errorTextOf(error: unknown): ErrorText {
  if (error instanceof PhotoTooLargeError) return tooLargeText(error);
  if (error instanceof ApiError) return apiErrorText(error);
  if (error instanceof NetworkError) return { message: texts.errors.unreachable, suggestion: null };
  if (error instanceof SignedOutError) return { message: texts.errors.signedOut, suggestion: null };
  if (error instanceof ConsentDeclinedError) return { message: texts.errors.consentDeclined, suggestion: null };
  return texts.errors.unexpected;
}

function apiErrorText({ status, code, detail, suggestion, retryAfterMs }: ApiError): ErrorText {
  const waitMessage = WAIT_BY_CODE.get(code ?? '');
  if (waitMessage !== undefined) return { message: waitMessage, suggestion: retryText(retryAfterMs) };
  return BY_CODE.get(code ?? '') ?? { message: detail ?? statusText(status), suggestion };
}

/** For answers without a sentence, as those of a proxy. */
function statusText(status: number): string {
  if (status < 300) return texts.errors.unreadableAnswer;
  if (status === 413) return texts.errors.photoTooLarge;
  if (status === 429) return texts.errors.tooManyRequests;
  return status >= 500 ? texts.errors.serverError : texts.errors.otherStatus;
}

function retryText(ms: number | null): string {
  const seconds = Math.ceil((ms ?? 0) / 1000);
  if (seconds < 2) return texts.errors.retryInAMoment;
  if (seconds < 90) return texts.errors.retryInSeconds({ seconds });
  return texts.errors.retryInMinutes({ minutes: Math.ceil(seconds / 60) });
}

/** Rounded so that the photo never seems to be within the limit. */
function tooLargeText({ bytes, maxBytes }: PhotoTooLargeError): ErrorText {
  const tenths = (size: number) => (size / (1 << 20)) * 10;
  const [megabytes, limitMegabytes] = [Math.ceil(tenths(bytes)) / 10, Math.floor(tenths(maxBytes)) / 10];
  return texts.photoFile.tooLarge({ megabytes, limitMegabytes });
}
