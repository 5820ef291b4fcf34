import { expect, test } from 'vitest';
import { backoffMs } from './waiting';

test('the longest pause doubles and stops at its cap, and jitter is applied after the cap', () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 50].map((attempt) => backoffMs(attempt, () => 1));
  expect(longest).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
  expect(backoffMs(50, () => 0.5)).toBe(7500);
});

test('a pause can be nothing at all, so that clients spread over the whole time', () => {
  expect(backoffMs(50, () => 0)).toBe(0);
});
