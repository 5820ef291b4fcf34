// Whether a picked file is a photo in a format that the server reads, found from its first bytes before
// anything is sent. The server checks again.

import type { ErrorText } from './api';
import { texts } from './texts';

/** Enough for the brands at the start of an ISO media file. */
const HEAD_BYTES = 256;

/** Why the file cannot be used; null for a photo. */
export async function unsupportedFileText(file: File): Promise<ErrorText | null> {
  if (file.size === 0) return texts.photoFile.empty;
  let head: Uint8Array;
  try {
    head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  } catch {
    return texts.photoFile.unreadable;
  }
  if (isJpeg(head) || isPng(head) || isWebP(head)) return null;
  const brands = isoBrands(head);
  if (brands.some(isAvif)) return texts.photoFile.unsupportedFormat({ format: 'AVIF' });
  if (brands.some(isHeif)) return texts.photoFile.heic;
  if (/^image\/(?!jpeg|png|webp)/.test(file.type)) {
    return texts.photoFile.unsupportedFormat({ format: formatName(file.type) });
  }
  return texts.photoFile.notAPhoto;
}

/** As people call it: `image/svg+xml` is SVG. */
function formatName(contentType: string): string {
  return contentType.replace(/^image\/(x-|vnd\.)?/, '').replace(/\+.*$/, '').toUpperCase();
}

function isJpeg(head: Uint8Array): boolean {
  return head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff;
}

function isPng(head: Uint8Array): boolean {
  return head[0] === 0x89 && textAt(head, 1, 3) === 'PNG';
}

function isWebP(head: Uint8Array): boolean {
  return textAt(head, 0, 4) === 'RIFF' && textAt(head, 8, 4) === 'WEBP';
}

function isAvif(brand: string): boolean {
  return brand === 'avif' || brand === 'avis';
}

function isHeif(brand: string): boolean {
  return /^(he..|mif1|msf1)$/.test(brand);
}

/** The major brand and the compatible ones; empty for other kinds of files. */
function isoBrands(head: Uint8Array): string[] {
  if (textAt(head, 4, 4) !== 'ftyp') return [];
  const size = new DataView(head.buffer, head.byteOffset).getUint32(0);
  const brands = [];
  for (let at = 8; at + 4 <= Math.min(size, head.length); at += 4) brands.push(textAt(head, at, 4));
  return brands;
}

function textAt(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}
