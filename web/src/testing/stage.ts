// The words screen tests are written in: put a screen on the stage, press, read.
// For tests only; nothing of the page may import it.

import { flushSync, mount, unmount, type Component } from 'svelte';
import { onTestFinished, vi, type Mocked } from 'vitest';
import type { Api, Check, JobStatus } from '../api';

export interface Stage {
  all(selector: string): Element[];
  one<Kind extends Element = HTMLElement>(selector: string): Kind;
  /** The button or label whose words begin so. */
  button(words: string): HTMLElement;
  press(words: string): Promise<void>;
  text(): string;
  /** Takes the screen off the stage, as when the person goes elsewhere. */
  close(): Promise<void>;
}

export function show<Props extends Record<string, unknown>>(screen: Component<Props>, props: Props): Stage {
  const target = document.body.appendChild(document.createElement('div'));
  const mounted = mount(screen, { target, props });
  flushSync();
  let open = true;
  async function close(): Promise<void> {
    if (!open) return;
    open = false;
    await unmount(mounted);
    target.remove();
  }
  onTestFinished(close);

  const stage: Stage = {
    all: (selector) => [...target.querySelectorAll(selector)],
    one<Kind extends Element>(selector: string): Kind {
      const found = target.querySelector<Kind>(selector);
      if (!found) throw new Error(`nothing matches ${selector} in: ${stage.text()}`);
      return found;
    },
    button(words) {
      const found = stage.all('button, label.button').find((node) => node.textContent?.trim().startsWith(words));
      if (!found) throw new Error(`no button "${words}" in: ${stage.text()}`);
      return found as HTMLElement;
    },
    async press(words) {
      stage.button(words).click();
      await settle();
    },
    close,
    text: () => target.textContent?.replace(/\s+/g, ' ').trim() ?? '',
  };
  return stage;
}

/** Lets promises that are already decided arrive on the screen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
  flushSync();
}

/** Passes the time in which a guarded button takes no press. */
export function waitForGuards(): void {
  passedMs += 1_000;
  const later = vi.spyOn(performance, 'now').mockImplementation(() => realNow() + passedMs);
  onTestFinished(() => later.mockRestore());
}

const realNow = performance.now.bind(performance);
let passedMs = 0;

/** A file that begins like a photo of this kind. */
export function photoFile(name = 'eye.jpg', head: number[] = [0xff, 0xd8, 0xff, 0xe0], type = 'image/jpeg'): File {
  return new File([new Uint8Array([...head, ...Array<number>(32).fill(0)])], name, { type });
}

export function type(input: HTMLInputElement, text: string): void {
  input.value = text;
  input.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}

/** A server door where every call waits for ever, unless the test says otherwise. */
export function quietApi(): Mocked<Api> {
  const never = () => new Promise<never>(() => undefined);
  return {
    isSignedIn: vi.fn(() => true),
    register: vi.fn(never),
    signIn: vi.fn(never),
    signOut: vi.fn(never),
    me: vi.fn(never),
    consentText: vi.fn(never),
    giveConsent: vi.fn(never),
    consents: vi.fn(never),
    withdrawConsent: vi.fn(never),
    deleteAccount: vi.fn(never),
    deletePhoto: vi.fn(never),
    uploadPhoto: vi.fn(never),
    check: vi.fn(never),
    submit: vi.fn(never),
    reprocess: vi.fn(never),
    cancel: vi.fn(never),
    job: vi.fn(never),
    recentJobs: vi.fn(never),
    watch: vi.fn(never),
    picture: vi.fn(never),
  };
}

export function jobLike(differences: Partial<JobStatus> = {}): JobStatus {
  return {
    job_id: '7d0c8f3e-0000-4000-8000-000000000001',
    photo_id: '7d0c8f3e-0000-4000-8000-000000000002',
    status: 'completed',
    current_step: 'completed',
    step: 'Complete!',
    progress: 100,
    attempt_count: 0,
    created_at: '2026-05-04T10:00:00Z',
    error_type: null,
    error_code: null,
    error_message: null,
    suggestion: null,
    result_url: '/result.jpg',
    mask_url: null,
    before_url: '/before.jpg',
    original_url: null,
    thumbnail_url: null,
    processing_time_ms: 840,
    result_width: 2048,
    result_height: 2048,
    quality_score: 83,
    quality_message: 'A good photo.',
    ...differences,
  };
}

/** A usable photo of 400 x 300 pixels with the iris in its middle. */
export function checkLike(differences: Partial<Check> = {}): Check {
  return {
    usable: true,
    eyes_seen: 1,
    message: 'A beautiful, sharp photo.',
    suggestion: null,
    rejection: null,
    quality_score: 83,
    photo: { width: 400, height: 300 },
    iris: { cx: 200, cy: 150, rx: 80, ry: 78, angle_deg: 10 },
    pupil: { cx: 200, cy: 151, rx: 30, ry: 30, angle_deg: 0 },
    upper_lid: [[100, 100], [200, 80], [300, 100]],
    lower_lid: [],
    ...differences,
  };
}
