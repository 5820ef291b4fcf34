// A photo of this page with the result of its quality check.

import type { Check } from '../../api';

export interface CheckedPhoto {
  photo: Blob;
  check: Check;
}
