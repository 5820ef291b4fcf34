// What the stories in the browser share: the phone, its browser, and the words they are told in.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const SHOTS = process.env.SHOTS;
const PATIENCE_MS = 90_000;
export const PASSWORD = 'Clear-Iris-7';
export const STEPS = [
  'Preparing your image...',
  'Finding your iris...',
  'Removing reflections...',
  'Enhancing quality...',
  'Almost done...',
];
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, acceptDownloads: true };

export function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A page that waits long enough for a slow machine. */
export async function openPage(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  return page;
}

/** From the door. */
export async function signIn(page, email, password = PASSWORD) {
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Makes an account and is signed in; its address. */
export async function register(page, url) {
  const email = `eye-${Date.now()}@example.com`;
  await page.goto(url);
  await page.getByRole('button', { name: 'New here?' }).click();
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.getByText('Take a photo', { exact: true }).waitFor();
  return email;
}

export function needed(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`Set ${name} to the path of a picture.`);
    process.exit(2);
  }
  return value;
}

export function createStory(page) {
  return async (sentence, body) => {
    const from = Date.now();
    try {
      await body();
    } catch (error) {
      await shot(page, 'fault');
      console.error(`not ok: ${sentence}`);
      throw error;
    }
    console.log(`ok: ${sentence} (${Date.now() - from} ms)`);
  };
}

/** Script errors, and whatever the content security policy refused. */
export function listen(page) {
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    // Refused requests are part of the story; the browser logs each of them.
    if (message.type() === 'error' && !text.startsWith('Failed to load resource')) complaints.push(text);
  });
  return complaints;
}

/** Keeps all texts of the live region and all values of the bar, also the short-lived ones. */
export async function collectSpokenSteps(page) {
  await page.addInitScript(() => {
    window.spoken = [];
    window.bars = [];
    new MutationObserver(() => {
      const text = document.querySelector('[aria-live][data-step]')?.textContent;
      if (text && window.spoken.at(-1) !== text) window.spoken.push(text);
      const bar = document.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow');
      if (bar && window.bars.at(-1) !== Number(bar)) window.bars.push(Number(bar));
    }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  });
}

export async function choose(page, file) {
  await page.locator('input[type=file]:not([capture])').setInputFiles(file);
}

/** Waits for the result; a refused photo ends the wait with its words. */
export async function finished(page) {
  const result = page.getByRole('heading', { name: 'Your iris' });
  const notice = page.getByRole('alert');
  await result.or(notice).first().waitFor();
  if (!(await result.isVisible())) assert.fail(`no result: ${await notice.innerText()}`);
}

export async function loaded(image) {
  await image.waitFor();
  await image.evaluate((node) => node.decode());
}

/** The photo out of focus: the page can do that itself. */
export async function blurredCopy(page, photo) {
  const blurred = await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes]));
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.width, image.height];
    const paper = canvas.getContext('2d');
    paper.filter = `blur(${Math.round(image.width / 50)}px)`;
    paper.drawImage(image, 0, 0);
    return canvas.toDataURL('image/jpeg', 0.92);
  }, readFileSync(photo).toString('base64'));
  const target = path.join(tmpdir(), `irisflow-e2e-${process.pid}-blurred.jpg`);
  writeFileSync(target, Buffer.from(blurred.split(',')[1], 'base64'));
  return target;
}

/** The drawing is on the picture, somewhere around its middle. */
export async function liesOver(drawing, picture) {
  const [inner, outer] = [await drawing.boundingBox(), await picture.boundingBox()];
  const share = (from, length, at, whole) => (from + length / 2 - at) / whole;
  const across = share(inner.x, inner.width, outer.x, outer.width);
  const down = share(inner.y, inner.height, outer.y, outer.height);
  assert.ok(inner.width > 20 && across > 0.2 && across < 0.8 && down > 0.2 && down < 0.8, `${across}, ${down}`);
}

export function naturalWidth(image) {
  return image.evaluate((node) => node.naturalWidth);
}

/** Nothing sticks out sideways, and whatever is meant to be tapped is large enough. */
export async function fits(page) {
  const { wide, small } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth > innerWidth,
    small: [...document.querySelectorAll('button, a, .button')]
      .map((node) => ({ text: node.textContent?.trim(), box: node.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0 && (box.height < 43 || box.width < 43))
      .map(({ text }) => text),
  }));
  assert.equal(wide, false, 'the page scrolls sideways');
  assert.deepEqual(small, [], 'too small to tap');
}

export async function shot(page, name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SHOTS, `${name}.png`) });
}
