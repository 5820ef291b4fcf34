// The whole path in a real browser at phone size, against a running server:
// register, send a photo, see what was found in it and each step, compare the result, reload
// in the middle of a second job, lose the socket, send photos that will not do, sign out and in
// again.
//
//   BASE_URL=http://127.0.0.1:8080 PHOTO=eye.jpg BAD_PHOTO=bear.jpg npm run e2e
//
// SHOTS=folder keeps screenshots. CHROMIUM names another browser.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const BASE_URL = process.env.BASE_URL ?? 'http://127.0.0.1:8080';
const PHOTO = needed('PHOTO');
const BAD_PHOTO = needed('BAD_PHOTO');
const SHOTS = process.env.SHOTS;
const PHONE = { width: 390, height: 844 };
const PATIENCE_MS = 90_000;
const STEPS = [
  'Preparing your image...',
  'Finding your iris...',
  'Removing reflections...',
  'Enhancing quality...',
  'Almost done...',
];

const browser = await chromium.launch({
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

try {
  const context = await browser.newContext({ viewport: PHONE, hasTouch: true, isMobile: true, acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = listen(page);
  await collectSpokenSteps(page);
  const story = createStory(page);

  const email = `eye-${Date.now()}@example.com`;
  const password = 'Clear-Iris-7';

  await story('the door asks to sign in, and explains what a password needs', async () => {
    await page.goto(BASE_URL);
    await page.getByRole('heading', { name: 'See your own iris' }).waitFor();
    await shot(page, 'sign-in');
    await page.getByRole('button', { name: 'New here?' }).click();
    await page.getByLabel('Email').fill(email);
    await page.getByLabel('Password', { exact: true }).fill('short');
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('alert').getByText('It still needs').waitFor();
    await shot(page, 'password-rules');
    await fits(page);
  });

  await story('a new account is signed in at once', async () => {
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByText('Take a photo', { exact: true }).waitFor();
    assert.equal(await page.locator('input[capture=environment]').getAttribute('accept'), 'image/*');
    await shot(page, 'capture');
    await fits(page);
  });

  await story('the chosen photo is shown before anything is sent', async () => {
    await choose(page, PHOTO);
    const preview = page.getByAltText('What you picked');
    await preview.waitFor();
    assert.ok((await naturalWidth(preview)) > 0);
    await shot(page, 'preview');
    await fits(page);
  });

  await story('every step is shown and spoken, and progress never goes back', async () => {
    await page.getByRole('button', { name: 'Process' }).click();
    await page.getByText(STEPS[1], { exact: true }).waitFor();
    await page.getByRole('img', { name: 'The outline of your iris' }).waitFor();
    await shot(page, 'progress');
    await fits(page);
    await finished(page);
    const { spoken, bars } = await page.evaluate(() => ({ spoken: window.spoken, bars: window.bars }));
    const heard = spoken.filter((text) => STEPS.includes(text));
    assert.deepEqual(heard, STEPS);
    assert.ok(spoken.includes('Complete!'), spoken.join(' | '));
    assert.ok(bars.length > 10);
    assert.deepEqual(bars, [...bars].sort((a, b) => a - b));
  });

  await story('the result is 2048 pixels wide and compares with the photo', async () => {
    const after = page.getByAltText('Your iris, finished');
    await loaded(after);
    await loaded(page.getByAltText('The same iris, as it was'));
    assert.equal(await naturalWidth(after), 2048);
    await shot(page, 'result');
    await fits(page);

    const slider = page.getByRole('slider');
    assert.equal(await slider.getAttribute('aria-valuenow'), '50');
    const box = await slider.boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.5);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.25, box.y + box.height * 0.5, { steps: 8 });
    await page.mouse.up();
    const dragged = Number(await slider.getAttribute('aria-valuenow'));
    assert.ok(Math.abs(dragged - 25) <= 1, `${dragged}`);
    await page.keyboard.press('ArrowRight');
    assert.equal(Number(await slider.getAttribute('aria-valuenow')), dragged + 2);
    await page.keyboard.press('End');
    await shot(page, 'result-before');
    await page.keyboard.press('Home');
    await shot(page, 'result-after');
  });

  await story('the picture can be saved', async () => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save' }).click(),
    ]);
    assert.match(download.suggestedFilename(), /^iris-\d{4}-\d{2}-\d{2}-[0-9a-f]{4}\.jpg$/);
  });

  await story('a reload in the middle goes on watching the same job', async () => {
    await page.getByRole('button', { name: 'New photo' }).click();
    await page.getByRole('navigation', { name: 'Your recent pictures' }).waitFor();
    await choose(page, PHOTO);
    await page.getByRole('button', { name: 'Process' }).click();
    await page.waitForURL(/#\/jobs\//);
    const address = page.url();
    await page.reload();
    assert.equal(page.url(), address);
    const first = page.locator('[data-step], h1').first();
    await first.waitFor();
    console.log(`    still running after the reload: ${(await page.locator('[data-step]').count()) > 0}`);
    await finished(page);
    const after = page.getByAltText('Your iris, finished');
    await loaded(after);
    assert.equal(await naturalWidth(after), 2048);
  });

  await story('a socket cut in the middle is found again', async () => {
    let sockets = 0;
    await page.routeWebSocket(/\/ws\/jobs\//, (socket) => {
      const server = socket.connectToServer();
      sockets += 1;
      if (sockets > 1) return;
      server.onMessage((message) => {
        socket.send(message);
        // The server says that it restarts, after the first thing it said.
        socket.close({ code: 1012, reason: 'restart' });
      });
    });
    await page.getByRole('button', { name: 'Process this photo again' }).click();
    await page.waitForURL(/#\/jobs\//);
    await page.locator('[data-step]').waitFor();
    await finished(page);
    assert.ok(sockets >= 2, `${sockets} sockets`);
    await page.unrouteAll?.();
  });

  await story('a photo that will not do says why, and offers to take another', async () => {
    await page.getByRole('button', { name: 'New photo' }).click();
    await page.getByRole('navigation', { name: 'Your recent pictures' }).waitFor();
    await loaded(page.locator('nav img').first());
    await shot(page, 'capture-recent');
    await fits(page);
    await choose(page, BAD_PHOTO);
    await page.getByRole('button', { name: 'Process' }).click();
    const notice = page.getByRole('alert');
    await notice.waitFor();
    const lines = (await notice.innerText()).split('\n').filter((line) => line.trim() !== '');
    console.log(`    it says: ${lines.join(' / ')}`);
    assert.ok(lines.length >= 2, 'a message and a suggestion');
    await page.getByText('Take another photo').waitFor();
    assert.ok(!page.url().includes('#/jobs/'), 'no job was made of it');
    await shot(page, 'not-usable');
    await fits(page);
    await page.getByRole('button', { name: 'Try this one anyway' }).click();
    await page.waitForURL(/#\/jobs\//);
    await page.getByRole('heading', { name: 'This photo will not do' }).waitFor();
    await shot(page, 'problem');
    await fits(page);
  });

  await story('an eye that is seen and will not do is outlined, before and after a try', async () => {
    const blurred = await blurredCopy(page, PHOTO);
    await page.getByText('Irisflow', { exact: true }).click();
    await choose(page, blurred);
    await page.getByRole('button', { name: 'Process' }).click();
    await page.getByRole('heading', { name: 'We see your eye, but' }).waitFor();
    const outline = page.getByRole('img', { name: 'The outline of your iris' });
    await liesOver(outline.locator('ellipse').first(), page.getByAltText('What you picked'));
    console.log(`    it says: ${(await page.getByRole('alert').innerText()).replaceAll(/\n+/g, ' / ')}`);
    await shot(page, 'outlined');
    await fits(page);
    await page.getByRole('button', { name: 'Try this one anyway' }).click();
    await page.waitForURL(/#\/jobs\//);
    await page.getByRole('heading', { name: 'We see your eye, but' }).waitFor();
    await liesOver(outline.locator('ellipse').first(), page.getByAltText('Your original'));
    await shot(page, 'problem-outlined');
    await fits(page);
    rmSync(blurred);
  });

  await story('a HEIC photo is refused kindly, with the way to send it as JPEG', async () => {
    const heic = path.join(tmpdir(), `irisflow-e2e-${process.pid}.heic`);
    const box = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypheic\0\0\0\0heicmif1')]);
    writeFileSync(heic, Buffer.concat([box, Buffer.alloc(4096)]));
    await page.getByText('Irisflow', { exact: true }).click();
    await choose(page, heic);
    await page.getByRole('button', { name: 'Process' }).click();
    const notice = page.getByRole('alert');
    await notice.waitFor();
    const words = await notice.innerText();
    console.log(`    it says: ${words.replaceAll(/\n+/g, ' / ')}`);
    assert.match(words, /HEIC/);
    assert.match(words, /JPEG/);
    await page.getByText('Take another photo').waitFor();
    await shot(page, 'unsupported');
    rmSync(heic);
  });

  await story('the page also fits the smallest phones and a desktop', async () => {
    const storageState = await context.storageState();
    for (const [width, height, isMobile] of [
      [360, 740, true],
      [1280, 800, false],
    ]) {
      const other = await browser.newContext({ viewport: { width, height }, isMobile, hasTouch: isMobile, storageState });
      const there = await other.newPage();
      await there.goto(BASE_URL);
      const pictures = there.locator('nav a:has(img)');
      await loaded(pictures.first().locator('img'));
      await shot(there, `capture-${width}`);
      await fits(there);
      await pictures.first().click();
      await loaded(there.getByAltText('Your iris, finished'));
      await shot(there, `result-${width}`);
      await fits(there);
      await other.close();
    }
  });

  await story('signing out closes the door, and the account opens it again', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Email').fill(email);
    await page.getByLabel('Password', { exact: true }).fill('Wrong-Iris-7');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Address and password do not match.').waitFor();
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('navigation', { name: 'Your recent pictures' }).waitFor();
  });

  assert.deepEqual(complaints, [], 'the browser had nothing to complain about');
  console.log('whole path: ok');
} finally {
  await browser.close();
}

function needed(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`Set ${name} to the path of a picture.`);
    process.exit(2);
  }
  return value;
}

function createStory(page) {
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
function listen(page) {
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
async function collectSpokenSteps(page) {
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

async function choose(page, file) {
  await page.locator('input[type=file]:not([capture])').setInputFiles(file);
}

/** Waits for the result; a refused photo ends the wait with its words. */
async function finished(page) {
  const result = page.getByRole('heading', { name: 'Your iris' });
  const notice = page.getByRole('alert');
  await result.or(notice).first().waitFor();
  if (!(await result.isVisible())) assert.fail(`no result: ${await notice.innerText()}`);
}

async function loaded(image) {
  await image.waitFor();
  await image.evaluate((node) => node.decode());
}

/** The photo out of focus: the page can do that itself. */
async function blurredCopy(page, photo) {
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
async function liesOver(drawing, picture) {
  const [inner, outer] = [await drawing.boundingBox(), await picture.boundingBox()];
  const share = (from, length, at, whole) => (from + length / 2 - at) / whole;
  const across = share(inner.x, inner.width, outer.x, outer.width);
  const down = share(inner.y, inner.height, outer.y, outer.height);
  assert.ok(inner.width > 20 && across > 0.2 && across < 0.8 && down > 0.2 && down < 0.8, `${across}, ${down}`);
}

function naturalWidth(image) {
  return image.evaluate((node) => node.naturalWidth);
}

/** Nothing sticks out sideways, and whatever is meant to be tapped is large enough. */
async function fits(page) {
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

async function shot(page, name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SHOTS, `${name}.png`) });
}
