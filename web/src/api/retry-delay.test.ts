import { expect, test } from 'vitest';
import { backoffMs } from './retry-delay';

test('the longest delay doubles up to its cap, and jitter is applied after the cap', () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 50].map((attempt) => backoffMs(attempt, () => 1));
  expect(longest).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
  expect(backoffMs(50, () => 0.5)).toBe(7500);
});

test('a delay can be zero, so that clients spread over the whole time', () => {
  expect(backoffMs(50, () => 0)).toBe(0);
});
