// Which preview of a running job is shown.

import type { Preview } from '../../api';

/** The step from which each preview is shown: the one after the step that made it. */
const FROM_STEP: Record<Preview['kind'], number> = { outline: 2, light: 3, result: 4 };

/** The newest preview at this step. */
export function previewAt(previews: Preview[], step: number): Preview | null {
  return previews.filter(({ kind }) => step >= FROM_STEP[kind]).at(-1) ?? null;
}

/** The newer previews, with the URL of a known one where it is the same picture: every frame has a new signature, and
    the browser would load the picture again. */
export function keepKnownUrls(known: Preview[], newer: Preview[]): Preview[] {
  const pathOf = ({ url }: Preview) => url.split('?')[0];
  return newer.map((preview) => known.find((other) => pathOf(other) === pathOf(preview)) ?? preview);
}
