// A photo of this page, and what was seen in it.

import type { Check } from '../../api';

export interface Sighting {
  photo: Blob;
  check: Check;
}
