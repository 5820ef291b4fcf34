// How to place a photo behind a square window so that the iris is in the middle of it.

import type { Check } from '../../api';

/** Width of the iris, in per cent of the window's side. */
const IRIS_PERCENT = 55;

/** Width of the photo and its top left corner, in per cent of the window's side. */
export interface PhotoPlacement {
  width: number;
  left: number;
  top: number;
}

export function placeAroundIris({ photo, iris }: Pick<Check, 'photo' | 'iris'>): PhotoPlacement | null {
  if (!photo || !iris) return null;
  const percentPerPixel = IRIS_PERCENT / (2 * Math.max(iris.rx, iris.ry));
  return {
    width: photo.width * percentPerPixel,
    left: 50 - iris.cx * percentPerPixel,
    top: 50 - iris.cy * percentPerPixel,
  };
}
