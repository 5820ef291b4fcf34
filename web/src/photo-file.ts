// Whether a file that was picked is a photo that the server reads, found from its first bytes before
// anything is sent. The server looks again and has the last word.

import type { Words } from './api';

/** Enough for the brands in the head of an ISO media file. */
const HEAD_BYTES = 256;
const CHOOSE_ANOTHER = 'Choose a JPEG, PNG or WebP photo of an eye.';

/** What to say instead of sending the file; null for a photo. */
export async function refusalOf(file: File): Promise<Words | null> {
  if (file.size === 0) return { message: 'This file is empty.', suggestion: 'Choose another photo.' };
  let head: Uint8Array;
  try {
    head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  } catch {
    return {
      message: 'This photo could not be opened.',
      suggestion: 'It may still be in the cloud. Open it in your photo app first, then choose it again.',
    };
  }
  if (isJpeg(head) || isPng(head) || isWebP(head)) return null;
  const brands = isoBrands(head);
  if (brands.some((brand) => /^(he..|mif1|msf1)$/.test(brand)) && !brands.some(isAvif)) return HEIC;
  if (brands.some(isAvif)) return unread('AVIF');
  if (/^image\/(?!jpeg|png|webp)/.test(file.type)) return unread(nameOfType(file.type));
  return { message: 'This file is not a photo.', suggestion: CHOOSE_ANOTHER };
}

const HEIC: Words = {
  message: 'This photo is in the HEIC format, which we cannot read yet.',
  suggestion:
    'On an iPhone, open Settings, then Camera, then Formats, choose “Most Compatible”, and take the photo again. ' +
    'A photo that you already have can be sent when it is saved as JPEG.',
};

function unread(name: string): Words {
  return { message: `We cannot read ${name} pictures.`, suggestion: 'Save the photo as JPEG, then choose that.' };
}

/** As people call it: `image/svg+xml` is SVG. */
function nameOfType(type: string): string {
  return type.replace(/^image\/(x-|vnd\.)?/, '').replace(/\+.*$/, '').toUpperCase();
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
