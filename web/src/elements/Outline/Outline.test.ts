import { expect, test } from 'vitest';
import { checkLike, settle, show } from '../../testing/stage';
import { closeupOf } from './closeup';
import EyeCloseup from './EyeCloseup.svelte';
import Outline from './Outline.svelte';
import { headingOf } from './words';

test('limbus, pupil and lids are drawn in pixels of the upright photo', () => {
  const stage = show(Outline, { check: checkLike() });
  expect(stage.one('svg').getAttribute('viewBox')).toBe('0 0 400 300');
  const [limbus, pupil] = stage.all('ellipse');
  expect(limbus?.getAttribute('rx')).toBe('80');
  expect(limbus?.getAttribute('transform')).toBe('rotate(10 200 150)');
  expect(pupil?.getAttribute('rx')).toBe('30');
  expect(stage.one('polyline').getAttribute('points')).toBe('100,100 200,80 300,100');
});

test('a lid that does not come near the iris is not drawn', () => {
  const stage = show(Outline, { check: checkLike({ upper_lid: [], lower_lid: [] }) });
  expect(stage.all('polyline')).toHaveLength(0);
});

test('without an iris nothing is drawn', () => {
  const stage = show(Outline, { check: checkLike({ iris: null, pupil: null }) });
  expect(stage.all('svg')).toHaveLength(0);
});

test('the closeup has the middle of the iris in its middle', () => {
  const place = closeupOf(checkLike());
  // 55 % for 160 pixels.
  expect(place).toEqual({ width: 137.5, left: 50 - 68.75, top: 50 - 51.5625 });
});

test('the closeup shows the photo with its outline', async () => {
  const stage = show(EyeCloseup, { photo: new Blob(['x']), check: checkLike() });
  await settle();
  expect(stage.one('img').getAttribute('src')).toMatch(/^blob:/);
  expect(stage.all('ellipse')).toHaveLength(2);
});

test.each([
  [checkLike({ iris: null }), 'This photo will not do'],
  [checkLike({ rejection: { code: 'too_blurry' } }), 'We see your eye, but…'],
  [checkLike({ rejection: { code: 'iris_too_small' } }), 'Nearly there'],
])('the heading tells whether we see the eye', (check, heading) => {
  expect(headingOf(check)).toBe(heading);
});
