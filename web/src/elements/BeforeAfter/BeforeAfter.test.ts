import { flushSync } from 'svelte';
import { expect, test } from 'vitest';
import { show } from '../../testing/stage';
import BeforeAfter from './BeforeAfter.svelte';

function slider() {
  const stage = show(BeforeAfter, { before: '/b.jpg', after: '/a.jpg' });
  const frame = stage.one('[role=slider]');
  frame.getBoundingClientRect = () => ({ left: 100, width: 200 }) as DOMRect;
  const send = (event: Event) => {
    frame.dispatchEvent(event);
    flushSync();
    return Number(frame.getAttribute('aria-valuenow'));
  };
  const pointer = (kind: string, clientX: number) =>
    send(Object.assign(new Event(kind, { bubbles: true }), { clientX, button: 0, pointerId: 1 }));
  const key = (name: string) => send(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
  return { frame, pointer, key };
}

test('begins in the middle and can be reached by keyboard', () => {
  const { frame } = slider();
  expect(frame.getAttribute('aria-valuenow')).toBe('50');
  expect(frame.tabIndex).toBe(0);
});

test.each([
  ['ArrowRight', 52],
  ['ArrowLeft', 48],
  ['PageUp', 60],
  ['Home', 0],
  ['End', 100],
  ['a', 50],
])('%s moves it to %i', (name, expected) => {
  expect(slider().key(name)).toBe(expected);
});

test('the pointer drags it while it is down, and not past the edges', () => {
  const { pointer } = slider();
  expect(pointer('pointermove', 120)).toBe(50);
  expect(pointer('pointerdown', 150)).toBe(25);
  expect(pointer('pointermove', 250)).toBe(75);
  expect(pointer('pointermove', 900)).toBe(100);
  expect(pointer('pointerup', 900)).toBe(100);
  expect(pointer('pointermove', 120)).toBe(100);
});
