// Sends a photo's bytes to the address the server signed for them. XMLHttpRequest, because
// it is the one way for a page to see how much has been sent.

import { apiErrorFrom, Unreachable } from './errors';
import { aborted } from './waiting';

export interface Upload {
  url: string;
  file: Blob;
  contentType: string;
  /** Called with the share sent so far, 0 to 1. */
  onSent: (share: number) => void;
  signal: AbortSignal;
}

export function putBytes({ url, file, contentType, onSent, signal }: Upload): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(aborted());
    const request = new XMLHttpRequest();
    const cancel = () => request.abort();
    signal.addEventListener('abort', cancel, { once: true });
    request.upload.onprogress = (event) => {
      if (event.lengthComputable && event.total > 0) onSent(event.loaded / event.total);
    };
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve();
      reject(apiErrorFrom(request.status, readJson(request.responseText)));
    };
    request.onerror = () => reject(new Unreachable());
    request.onabort = () => reject(aborted());
    request.onloadend = () => signal.removeEventListener('abort', cancel);
    request.open('PUT', url);
    request.setRequestHeader('Content-Type', contentType);
    request.send(file);
  });
}

/**
 * The type to declare for a chosen file. Phones and desktops often leave HEIC files
 * without one; the server knows best what to say about them, so we pass it on.
 */
export function contentTypeOf(file: File): string {
  if (file.type !== '') return file.type;
  const extension = file.name.split('.').pop()?.toLowerCase() ?? '';
  const known: Record<string, string> = {
    jpg: 'image/jpeg',
    jpeg: 'image/jpeg',
    png: 'image/png',
    webp: 'image/webp',
    heic: 'image/heic',
    heif: 'image/heif',
  };
  return known[extension] ?? 'application/octet-stream';
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
