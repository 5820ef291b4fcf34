// Everything that can go wrong between the page and the server, in the kinds that a screen treats differently.
// What people read about them is in `error-text.ts`.

import { ApiError } from '@irisflow/client';

export { ApiError, isAbort, isTransient, NetworkError, PhotoTooLargeError, SignedOutError } from '@irisflow/client';

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
  'iris_unclear',
  'looking_away',
  'iris_too_small',
  'too_blurry',
  'too_dark',
  'overexposed',
  'iris_covered',
  'iris_cut_off',
  'photo_expired',
]);
