// How the finished picture leaves the page: its file name, and what a share sheet gets.

import type { JobStatus } from '../../api';

export function fileNameOf(job: Pick<JobStatus, 'created_at' | 'job_id'>, contentType: string): string {
  const day = /^\d{4}-\d{2}-\d{2}/.exec(job.created_at)?.[0] ?? 'picture';
  const extension = contentType === 'image/png' ? 'png' : 'jpg';
  return `iris-${day}-${job.job_id.slice(0, 4)}.${extension}`;
}

/** What to hand to the share sheet, or null where there is none for pictures. */
export function shareData(picture: Blob, name: string): ShareData | null {
  if (typeof navigator.share !== 'function' || typeof navigator.canShare !== 'function') return null;
  const data = { files: [new File([picture], name, { type: picture.type || 'image/jpeg' })] };
  return navigator.canShare(data) ? data : null;
}
