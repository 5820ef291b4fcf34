// Mounts a component in a document and drives it as a person does: find, press, read. For tests only.

import { flushSync, mount, unmount, type Component } from 'svelte';
import { onTestFinished, vi } from 'vitest';

export interface Rendered {
  all(selector: string): Element[];
  one<Kind extends Element = HTMLElement>(selector: string): Kind;
  /** The button or label whose text begins so. */
  button(text: string): HTMLElement;
  press(text: string): Promise<void>;
  text(): string;
  unmount(): Promise<void>;
}

export function render<Props extends Record<string, unknown>>(component: Component<Props>, props: Props): Rendered {
  const target = document.body.appendChild(document.createElement('div'));
  const mounted = mount(component, { target, props });
  flushSync();
  let isMounted = true;
  async function unmountOnce(): Promise<void> {
    if (!isMounted) return;
    isMounted = false;
    await unmount(mounted);
    target.remove();
  }
  onTestFinished(unmountOnce);

  const rendered: Rendered = {
    all: (selector) => [...target.querySelectorAll(selector)],
    one<Kind extends Element>(selector: string): Kind {
      const found = target.querySelector<Kind>(selector);
      if (!found) throw new Error(`nothing matches ${selector} in: ${rendered.text()}`);
      return found;
    },
    button(text) {
      const found = rendered.all('button, label.button').find((node) => node.textContent?.trim().startsWith(text));
      if (!found) throw new Error(`no button "${text}" in: ${rendered.text()}`);
      return found as HTMLElement;
    },
    async press(text) {
      rendered.button(text).click();
      await flushPromises();
    },
    unmount: unmountOnce,
    text: () => target.textContent?.replace(/\s+/g, ' ').trim() ?? '',
  };
  return rendered;
}

/** Runs the continuations of settled promises, then renders. */
export async function flushPromises(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
  flushSync();
}

/** Advances fake timers past the time in which a `GuardedButton` ignores clicks. */
export function passGuardTime(): void {
  vi.advanceTimersByTime(1_000);
  flushSync();
}

export function type(input: HTMLInputElement, text: string): void {
  input.value = text;
  input.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}
