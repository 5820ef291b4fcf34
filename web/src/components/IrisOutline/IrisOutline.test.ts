import { expect, test } from 'vitest';
import { flushPromises, render } from '../../testing/component-harness';
import { checkFixture } from '../../testing/fixtures';
import { placeAroundIris } from './closeup-geometry';
import IrisCloseup from './IrisCloseup.svelte';
import IrisOutline from './IrisOutline.svelte';
import { rejectionHeading } from './rejection-heading';

test('limbus, pupil and lids are drawn in pixels of the photo', () => {
  const screen = render(IrisOutline, { check: checkFixture() });
  expect(screen.one('svg').getAttribute('viewBox')).toBe('0 0 400 300');
  const [limbus, pupil] = screen.all('ellipse');
  expect(limbus?.getAttribute('rx')).toBe('80');
  expect(limbus?.getAttribute('transform')).toBe('rotate(10 200 150)');
  expect(pupil?.getAttribute('rx')).toBe('30');
  expect(screen.one('polyline').getAttribute('points')).toBe('100,100 200,80 300,100');
});

test('a lid that does not come near the iris is not drawn', () => {
  const screen = render(IrisOutline, { check: checkFixture({ upper_lid: [], lower_lid: [] }) });
  expect(screen.all('polyline')).toHaveLength(0);
});

test('without an iris nothing is drawn', () => {
  const screen = render(IrisOutline, { check: checkFixture({ iris: null, pupil: null }) });
  expect(screen.all('svg')).toHaveLength(0);
});

test('the closeup is centred on the iris', () => {
  const placement = placeAroundIris(checkFixture());
  // 55 % for 160 pixels.
  expect(placement).toEqual({ width: 137.5, left: 50 - 68.75, top: 50 - 51.5625 });
});

test('the closeup shows the photo with its outline', async () => {
  const screen = render(IrisCloseup, { photo: new Blob(['x']), check: checkFixture() });
  await flushPromises();
  expect(screen.one('img').getAttribute('src')).toMatch(/^blob:/);
  expect(screen.all('ellipse')).toHaveLength(2);
});

test.each([
  ['no iris', null, 'no_iris_found', 'This photo will not do'],
  ['a blurred iris', checkFixture().iris, 'too_blurry', 'We see your eye, but…'],
  ['a small iris', checkFixture().iris, 'iris_too_small', 'Nearly there'],
])('the heading over %s says whether the eye was found', (_, iris, code, heading) => {
  expect(rejectionHeading({ iris: iris ?? null, rejection: { code, message: '', suggestion: '' } })).toBe(heading);
});
