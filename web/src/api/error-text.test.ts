import { expect, test } from 'vitest';
import { errorTextOf } from './error-text';
import { ApiError, PhotoTooLargeError } from './errors';

test('the sentence and the suggestion of the server', () => {
  const error = new ApiError(415, 'unsupported_format', 'HEIC is not read here.', { suggestion: 'Send a JPEG.' });
  expect(errorTextOf(error)).toEqual({ message: 'HEIC is not read here.', suggestion: 'Send a JPEG.' });
});

test.each([
  ['too_many_attempts', 40_000, 'Please try again in 40 seconds.'],
  ['too_many_attempts', 150_000, 'Please try again in 3 minutes.'],
  ['busy', 1_000, 'Wait a moment, then try again.'],
  ['unavailable', null, 'Wait a moment, then try again.'],
])('%s with a time of %s ms reads: %s', (code, retryAfterMs, suggestion) => {
  expect(errorTextOf(new ApiError(503, code, 'For programs.', { retryAfterMs })).suggestion).toBe(suggestion);
});

test('an error page of a proxy gets a text by its status', () => {
  expect(errorTextOf(new ApiError(502, null, null)).message).toContain('Please try again later.');
});

test('a photo that is too large never seems to be within the limit', () => {
  const { message } = errorTextOf(new PhotoTooLargeError(50 * (1 << 20) + 1, 50 * (1 << 20)));
  expect(message).toContain('50.1 MB');
  expect(message).toContain('50 MB.');
});
