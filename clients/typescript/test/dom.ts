// A document for user interfaces under test.

import type { TestContext } from 'node:test';
import { Window } from 'happy-dom';

const NAMES = [
  'window',
  'navigator',
  'document',
  'HTMLElement',
  'Element',
  'Node',
  'Text',
  'Comment',
  'Event',
  'DocumentFragment',
];

/** Puts the globals of a page in place, until the test ends. */
export function openPage(t: TestContext, html: string): Document {
  const page = new Window({ url: 'http://localhost/' }) as unknown as Record<string, unknown>;
  const globals = globalThis as unknown as Record<string, unknown>;
  const before = NAMES.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
  for (const name of NAMES) {
    const value = name === 'window' ? page : page[name];
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  t.after(() => {
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else delete globals[name];
    }
  });
  document.body.innerHTML = html;
  return document;
}
