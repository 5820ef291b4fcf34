// Uploads the bytes of a photo: in one call, or to a presigned URL.

import { apiErrorFrom, NetworkError, PhotoTooLargeError } from './errors.ts';
import type { Http } from './http.ts';
import type { Photo, UploadSlot } from './types.ts';

export interface UploadOptions {
  /** By default the type of the photo, or what the extension of its name says. */
  contentType?: string;
  /** Sends the bytes straight to the storage, instead of through the API. */
  presigned?: boolean;
  /** Called with the share sent so far, 0 to 1. Only browsers report more than the end. */
  onSent?: (share: number) => void;
  signal?: AbortSignal | undefined;
}

export async function uploadPhoto(http: Http, photo: Blob, options: UploadOptions): Promise<Photo> {
  const { signal } = options;
  const contentType = options.contentType ?? contentTypeOf(photo);
  if (options.presigned) return uploadPresigned(http, photo, contentType, options);
  const headers = { 'content-type': contentType };
  const uploaded = await http.request<Photo>('POST', '/photos', { bytes: photo, headers, signal });
  options.onSent?.(1);
  return uploaded;
}

async function uploadPresigned(http: Http, photo: Blob, contentType: string, options: UploadOptions): Promise<Photo> {
  const { signal, onSent } = options;
  const slot = await http.request<UploadSlot>('POST', '/photos/upload', {
    body: { content_type: contentType },
    signal,
    retry: true,
  });
  if (photo.size > slot.max_bytes) throw new PhotoTooLargeError(photo.size, slot.max_bytes);
  const canReport = onSent !== undefined && typeof XMLHttpRequest !== 'undefined';
  await http.retrying(true, signal, () =>
    canReport
      ? putWithProgress(slot.upload_url, photo, contentType, onSent, signal)
      : http.send('PUT', slot.upload_url, { bytes: photo, headers: { 'content-type': contentType }, signal }, null),
  );
  onSent?.(1);
  return http.request<Photo>('POST', `/photos/${slot.photo_id}/confirm`, { body: {}, signal, retry: true });
}

/** With XMLHttpRequest, because `fetch` does not report how much has been sent. */
function putWithProgress(
  url: string,
  photo: Blob,
  contentType: string,
  onSent: (share: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal?.addEventListener('abort', abort);
    request.upload.onprogress = ({ lengthComputable, loaded, total }) => {
      if (lengthComputable && total > 0) onSent(loaded / total);
    };
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve();
      reject(apiErrorFrom(request.status, jsonOrNull(request.responseText), request.getResponseHeader('retry-after')));
    };
    request.onerror = () => reject(new NetworkError('the storage cannot be reached'));
    request.onabort = () => reject(signal?.reason);
    request.onloadend = () => signal?.removeEventListener('abort', abort);
    request.open('PUT', url);
    request.setRequestHeader('Content-Type', contentType);
    request.send(photo);
  });
}

const TYPES: Record<string, string> = {
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  heic: 'image/heic',
  heif: 'image/heif',
};

/**
 * The content type to declare. Browsers often report none for HEIC files: then it follows from the extension, so
 * that the server can name the format in its refusal.
 */
export function contentTypeOf(photo: Blob): string {
  if (photo.type !== '') return photo.type;
  const extension = ('name' in photo ? String(photo.name) : '').split('.').pop()?.toLowerCase() ?? '';
  return TYPES[extension] ?? 'application/octet-stream';
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
