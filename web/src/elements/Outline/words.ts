// The heading over a photo that will not do: whether we see the eye at all.

import type { Check } from '../../api';

export function headingOf(check: Check): string {
  if (check.iris === null) return 'This photo will not do';
  // The sentence on a small iris begins so itself, and nobody is told the same thing twice.
  return check.rejection?.code === 'iris_too_small' ? 'Nearly there' : 'We see your eye, but…';
}
