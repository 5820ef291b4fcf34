import { flushSync } from 'svelte';
import { expect, test } from 'vitest';
import { render } from '../../testing/component-harness';
import BeforeAfterSlider from './BeforeAfterSlider.svelte';

function slider() {
  const screen = render(BeforeAfterSlider, { before: '/b.jpg', after: '/a.jpg' });
  const frame = screen.one('[role=slider]');
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

test('starts in the middle and can be focused', () => {
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

test('the pointer drags it while pressed, and not past the edges', () => {
  const { pointer } = slider();
  expect(pointer('pointermove', 120)).toBe(50);
  expect(pointer('pointerdown', 150)).toBe(25);
  expect(pointer('pointermove', 250)).toBe(75);
  expect(pointer('pointermove', 900)).toBe(100);
  expect(pointer('pointerup', 900)).toBe(100);
  expect(pointer('pointermove', 120)).toBe(100);
});
