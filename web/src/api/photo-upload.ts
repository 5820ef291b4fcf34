// Sends the bytes of a photo to its signed upload URL. With XMLHttpRequest, because `fetch` does not
// report how much has been sent.

import { apiErrorFrom, NetworkError } from './errors';
import { abortError } from './retry-delay';

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
    if (signal.aborted) return reject(abortError());
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
    request.onerror = () => reject(new NetworkError());
    request.onabort = () => reject(abortError());
    request.onloadend = () => signal.removeEventListener('abort', cancel);
    request.open('PUT', url);
    request.setRequestHeader('Content-Type', contentType);
    request.send(file);
  });
}

/**
 * The content type to declare for a file. Browsers often report none for HEIC files: then it follows from the
 * extension, so that the server can name the format in its refusal.
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
