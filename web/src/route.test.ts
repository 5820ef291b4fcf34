import { expect, test } from 'vitest';
import { hashOf, routeOf } from './route';

test('the address of a job names that job', () => {
  const route = routeOf('#/jobs/2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d');
  expect(route).toEqual({ screen: 'job', id: '2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d' });
  expect(hashOf(route)).toBe('#/jobs/2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d');
});

test.each(['', '#/', '#/jobs/', '#/jobs/../users/me', '#/nonsense'])('%j names the capture screen', (hash) => {
  expect(routeOf(hash)).toEqual({ screen: 'capture' });
});
