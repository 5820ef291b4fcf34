// The heading over a photo that cannot be used: whether an eye was found in it at all.

import type { Check } from '../../api';
import { texts } from '../../texts';

export function rejectionHeading({ iris, rejection }: Pick<Check, 'iris' | 'rejection'>): string {
  if (!iris) return texts.photoCheck.notUsable;
  return rejection?.code === 'iris_too_small' ? texts.photoCheck.irisTooSmall : texts.photoCheck.eyeNotUsable;
}
