// What a person reads about an error: the server's own sentence, or the page's where the server's is meant
// for programs.

import { texts } from '../texts';
import { ApiError, ConsentDeclinedError, NetworkError, SignedOutError } from './errors';

export interface ErrorText {
  message: string;
  /** The one thing to do. */
  suggestion: string | null;
}

const BY_CODE = new Map<string, ErrorText>(Object.entries(texts.errors.byCode));
const WAIT_BY_CODE = new Map<string, string>(Object.entries(texts.errors.waitByCode));

export function errorTextOf(error: unknown): ErrorText {
  if (error instanceof ApiError) return apiErrorText(error);
  if (error instanceof NetworkError) return { message: texts.errors.unreachable, suggestion: null };
  if (error instanceof SignedOutError) return { message: texts.errors.signedOut, suggestion: null };
  if (error instanceof ConsentDeclinedError) return { message: texts.errors.consentDeclined, suggestion: null };
  return texts.errors.unexpected;
}

function apiErrorText({ code, message, suggestion, retryAfterS }: ApiError): ErrorText {
  const waitMessage = WAIT_BY_CODE.get(code ?? '');
  if (waitMessage !== undefined) return { message: waitMessage, suggestion: retryText(retryAfterS) };
  return BY_CODE.get(code ?? '') ?? { message, suggestion };
}

function retryText(seconds: number | null): string {
  if (seconds === null || seconds < 2) return texts.errors.retryInAMoment;
  if (seconds < 90) return texts.errors.retryInSeconds({ seconds });
  return texts.errors.retryInMinutes({ minutes: Math.ceil(seconds / 60) });
}
