// What the browser tests share: the browser, a page of phone size, and the steps of a person on it.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const SHOTS = process.env.SHOTS;
const TIMEOUT_MS = 90_000;
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

/** A page whose waits suit a slow machine. */
export async function openPage(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  return page;
}

/** On the sign-in screen. */
export async function signIn(page, email, password = PASSWORD) {
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Creates an account, which signs in; returns its email address. */
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

export function requiredEnv(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`Set the environment variable ${name}; the top of this script says to what.`);
    process.exit(2);
  }
  return value;
}

export function createStory(page) {
  return async (sentence, body) => {
    const startedAt = Date.now();
    try {
      await body();
    } catch (error) {
      await screenshot(page, 'failed');
      console.error(`not ok: ${sentence}`);
      throw error;
    }
    console.log(`ok: ${sentence} (${Date.now() - startedAt} ms)`);
  };
}

/** Clicks a `GuardedButton` as soon as it takes clicks. */
export async function clickGuarded(button) {
  await button.and(button.page().locator(':not([data-guarded])')).click();
}

/** Collects script errors and violations of the content security policy. */
export function collectErrors(page) {
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    // The tests provoke refused requests, which the browser logs too.
    if (message.type() === 'error' && !text.startsWith('Failed to load resource')) errors.push(text);
  });
  return errors;
}

/** Records every text of the live region, every value of the bar and every preview, also short-lived ones. */
export async function recordProgress(page) {
  await page.addInitScript(() => {
    window.announced = [];
    window.barValues = [];
    window.previewsLoaded = [];
    document.addEventListener(
      'load',
      ({ target }) => {
        if (target.dataset?.preview && target.naturalWidth > 0) window.previewsLoaded.push(target.dataset.preview);
      },
      true,
    );
    new MutationObserver(() => {
      const text = document.querySelector('[aria-live][data-step]')?.textContent;
      if (text && window.announced.at(-1) !== text) window.announced.push(text);
      const bar = document.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow');
      if (bar && window.barValues.at(-1) !== Number(bar)) window.barValues.push(Number(bar));
    }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  });
}

export async function choosePhoto(page, file) {
  await page.locator('input[type=file]:not([capture])').setInputFiles(file);
}

/** Waits for the result; fails at once with the text of an error. */
export async function waitForResult(page) {
  const result = page.getByRole('heading', { name: 'Your iris' });
  const error = page.getByRole('alert');
  await result.or(error).first().waitFor();
  if (!(await result.isVisible())) assert.fail(`no result: ${await error.innerText()}`);
}

/** Waits until an image is loaded and decoded. */
export async function waitForImage(image) {
  await image.waitFor();
  await image.evaluate((node) => node.decode());
}

/** A file with a blurred copy of a photo, made by the browser. */
export async function blurredCopy(page, photo) {
  const blurred = await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes]));
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.width, image.height];
    const drawing = canvas.getContext('2d');
    drawing.filter = `blur(${Math.round(image.width / 50)}px)`;
    drawing.drawImage(image, 0, 0);
    return canvas.toDataURL('image/jpeg', 0.92);
  }, readFileSync(photo).toString('base64'));
  const target = path.join(tmpdir(), `irisflow-e2e-${process.pid}-blurred.jpg`);
  writeFileSync(target, Buffer.from(blurred.split(',')[1], 'base64'));
  return target;
}

/** A drawing covers a part around the middle of a picture. */
export async function assertLiesOver(drawing, picture) {
  const [inner, outer] = [await drawing.boundingBox(), await picture.boundingBox()];
  const share = (from, length, at, whole) => (from + length / 2 - at) / whole;
  const across = share(inner.x, inner.width, outer.x, outer.width);
  const down = share(inner.y, inner.height, outer.y, outer.height);
  assert.ok(inner.width > 20 && across > 0.2 && across < 0.8 && down > 0.2 && down < 0.8, `${across}, ${down}`);
}

export function naturalWidth(image) {
  return image.evaluate((node) => node.naturalWidth);
}

/** The page does not scroll sideways, and everything to tap is large enough. */
export async function assertFits(page) {
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

export async function screenshot(page, name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SHOTS, `${name}.png`) });
}
