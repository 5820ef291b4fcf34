// Where a photo lies behind a square window that shows the iris in its middle.

import type { Check } from '../../api';

/** The iris is this wide in the window, in per cent of it. */
const IRIS_PERCENT = 55;

/** Width of the photo and the place of its corner, in per cent of the window's side. */
export interface Closeup {
  width: number;
  left: number;
  top: number;
}

export function closeupOf({ photo, iris }: Pick<Check, 'photo' | 'iris'>): Closeup | null {
  if (!photo || !iris) return null;
  const percentPerPixel = IRIS_PERCENT / (2 * Math.max(iris.rx, iris.ry));
  return {
    width: photo.width * percentPerPixel,
    left: 50 - iris.cx * percentPerPixel,
    top: 50 - iris.cy * percentPerPixel,
  };
}
