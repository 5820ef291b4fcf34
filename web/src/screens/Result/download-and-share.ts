// The file name of a finished picture, and its data for the share dialog of the device.

import type { JobStatus } from '../../api';

/** As in `irisflow-2026-11-27-153012-1f3a9c.jpg`: when the job was made, in local time, and the end of its id. */
export function pictureFileName(job: Pick<JobStatus, 'created_at' | 'job_id'>, contentType: string): string {
  const extension = contentType === 'image/png' ? 'png' : 'jpg';
  // The end of an id is random; its beginning is the same for hours.
  const parts = ['irisflow', localTimestamp(job.created_at), job.job_id.slice(-6)];
  return `${parts.filter((part) => part !== null).join('-')}.${extension}`;
}

function localTimestamp(time: string): string | null {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return null;
  const two = (number: number) => String(number).padStart(2, '0');
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join('-');
  return `${day}-${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`;
}

/** Null where the browser cannot share pictures. */
export function shareData(picture: Blob, name: string): ShareData | null {
  if (typeof navigator.share !== 'function' || typeof navigator.canShare !== 'function') return null;
  const data = { files: [new File([picture], name, { type: picture.type || 'image/jpeg' })] };
  return navigator.canShare(data) ? data : null;
}
