// The heading over a photo that will not do: whether we see the eye at all.

import type { Check } from '../../api';

export function headingOf(check: Check): string {
  if (check.iris === null) return 'This photo will not do';
  // The server's sentence begins so at times, and nobody is told the same thing twice.
  return check.message.startsWith('We see your eye') ? 'Nearly there' : 'We see your eye, but…';
}
