// The whole path in a real browser at phone size, against a running server: register, send a photo, see its
// quality check and each step, compare the result, reload during a second job, lose the socket, send photos
// that are rejected, sign out and in again.
//
//   BASE_URL=http://127.0.0.1:8080 PHOTO=eye.jpg BAD_PHOTO=bear.jpg npm run e2e
//
// SHOTS=folder keeps screenshots. CHROMIUM names another browser.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import {
  blurredCopy,
  choosePhoto,
  recordProgress,
  createStory,
  waitForResult,
  assertFits,
  assertLiesOver,
  collectErrors,
  waitForImage,
  naturalWidth,
  requiredEnv,
  openBrowser,
  openPage,
  PASSWORD,
  PHONE,
  register,
  screenshot,
  signIn,
  STEPS,
} from './browser.mjs';

const BASE_URL = process.env.BASE_URL ?? 'http://127.0.0.1:8080';
const PHOTO = requiredEnv('PHOTO');
const BAD_PHOTO = requiredEnv('BAD_PHOTO');

const browser = await openBrowser();

try {
  const context = await browser.newContext(PHONE);
  const page = await openPage(context);
  const errors = collectErrors(page);
  await recordProgress(page);
  const story = createStory(page);

  let email;

  await story('the sign-in screen explains what a password needs', async () => {
    await page.goto(BASE_URL);
    await page.getByRole('heading', { name: 'See your own iris' }).waitFor();
    await screenshot(page, 'sign-in');
    await page.getByRole('button', { name: 'New here?' }).click();
    await page.getByLabel('Email').fill('eye@example.com');
    await page.getByLabel('Password', { exact: true }).fill('short');
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('alert').getByText('It still needs').waitFor();
    await screenshot(page, 'password-rules');
    await assertFits(page);
  });

  await story('a new account is signed in at once', async () => {
    email = await register(page, BASE_URL);
    assert.equal(await page.locator('input[capture=environment]').getAttribute('accept'), 'image/*');
    await screenshot(page, 'capture');
    await assertFits(page);
  });

  await story('the chosen photo is shown before anything is sent', async () => {
    await choosePhoto(page, PHOTO);
    const preview = page.getByAltText('What you picked');
    await preview.waitFor();
    assert.ok((await naturalWidth(preview)) > 0);
    await screenshot(page, 'preview');
    await assertFits(page);
  });

  await story('every step is shown and announced, and progress never goes back', async () => {
    await page.getByRole('button', { name: 'Process' }).click();
    await page.locator('[data-step]').waitFor();
    await page.getByRole('img', { name: 'The outline of your iris' }).waitFor();
    await screenshot(page, 'progress');
    await assertFits(page);
    await waitForResult(page);
    const { announced, barValues, previewsLoaded } = await page.evaluate(() => ({
      announced: window.announced,
      barValues: window.barValues,
      previewsLoaded: window.previewsLoaded,
    }));
    assert.deepEqual(previewsLoaded, ['outline', 'light', 'result']);
    assert.deepEqual(announced.filter((text) => STEPS.includes(text)), STEPS);
    assert.ok(announced.includes('Complete!'), announced.join(' | '));
    assert.ok(barValues.length > 10);
    assert.deepEqual(barValues, [...barValues].sort((a, b) => a - b));
  });

  await story('the result is 2048 pixels wide and compares with the photo', async () => {
    const after = page.getByAltText('Your iris, finished');
    await waitForImage(after);
    await waitForImage(page.getByAltText('The same iris, as it was'));
    assert.equal(await naturalWidth(after), 2048);
    await screenshot(page, 'result');
    await assertFits(page);

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
    await screenshot(page, 'result-before');
    await page.keyboard.press('Home');
    await screenshot(page, 'result-after');
  });

  await story('the picture is switched between the full circle and what was photographed', async () => {
    const after = page.getByAltText('Your iris, finished');
    const round = await after.getAttribute('src');
    await page.getByText('was filled in from its own texture').waitFor();
    await page.getByRole('button', { name: 'Visible part' }).click();
    await page.getByText('Only what the photo shows').waitFor();
    assert.notEqual(await after.getAttribute('src'), round);
    await waitForImage(after);
    assert.equal(await naturalWidth(after), 2048);
    await screenshot(page, 'visible-outline');
    await assertFits(page);
    await page.getByRole('button', { name: 'Full circle' }).click();
    assert.equal(await after.getAttribute('src'), round);
  });

  await story('the picture can be saved', async () => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save' }).click(),
    ]);
    assert.match(download.suggestedFilename(), /^irisflow-\d{4}-\d{2}-\d{2}-\d{6}-[0-9a-f]{6}\.jpg$/);
  });

  await story('after a reload the same job is still watched', async () => {
    await page.getByRole('button', { name: 'New photo' }).click();
    await page.getByRole('navigation', { name: 'Your recent pictures' }).waitFor();
    await choosePhoto(page, PHOTO);
    await page.getByRole('button', { name: 'Process' }).click();
    await page.waitForURL(/#\/jobs\//);
    const address = page.url();
    // The job may be done by now: the first answer after the reload says that it still runs.
    const running = async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), status: 'processing', progress: 40 } });
    };
    await page.route(/\/processing\/jobs\/[^/]+$/, running, { times: 1 });
    await page.reload();
    assert.equal(page.url(), address);
    await page.locator('[data-step]').waitFor();
    await waitForResult(page);
    const after = page.getByAltText('Your iris, finished');
    await waitForImage(after);
    assert.equal(await naturalWidth(after), 2048);
    const previews = await page.evaluate(() => window.previewsLoaded);
    assert.ok(previews.includes('result'), `previews after the reload: ${previews}`);
  });

  await story('a socket that is closed early is opened again', async () => {
    let sockets = 0;
    await page.routeWebSocket(/\/ws$/, (socket) => {
      const server = socket.connectToServer();
      sockets += 1;
      if (sockets > 1) return;
      server.onMessage((message) => {
        socket.send(message);
        // As for a restart of the server, after the first event.
        if (JSON.parse(message).type === 'event') socket.close({ code: 1012, reason: 'restart' });
      });
    });
    // The socket of the page is opened with it.
    await page.reload();
    await page.getByRole('button', { name: 'Process this photo again' }).click();
    await page.waitForURL(/#\/jobs\//);
    await page.locator('[data-step]').waitFor();
    await waitForResult(page);
    assert.ok(sockets >= 2, `${sockets} sockets`);
  });

  await story('without WebSockets the job is followed all the same', async () => {
    await page.routeWebSocket(/\/ws$/, (socket) => socket.close({ code: 1006 }));
    await page.reload();
    await page.getByRole('button', { name: 'Process this photo again' }).click();
    await page.waitForURL(/#\/jobs\//);
    await page.locator('[data-step]').waitFor();
    await waitForResult(page);
  });

  await story('a rejected photo shows the reason, and offers to take another', async () => {
    await page.getByRole('button', { name: 'New photo' }).click();
    await page.getByRole('navigation', { name: 'Your recent pictures' }).waitFor();
    await page.getByRole('link', { name: 'Finished picture' }).first().waitFor();
    await screenshot(page, 'capture-recent');
    await assertFits(page);
    await choosePhoto(page, BAD_PHOTO);
    await page.getByRole('button', { name: 'Process' }).click();
    const error = page.getByRole('alert');
    await error.waitFor();
    const lines = (await error.innerText()).split('\n').filter((line) => line.trim() !== '');
    console.log(`    it says: ${lines.join(' / ')}`);
    assert.ok(lines.length >= 2, 'a message and a suggestion');
    await page.getByText('Take another photo').waitFor();
    assert.ok(!page.url().includes('#/jobs/'), 'no job was made');
    await screenshot(page, 'not-usable');
    await assertFits(page);
  });

  await story('without a quality check, the job rejects the photo', async () => {
    await page.route('**/check', (route) => route.fulfill({ status: 503, json: { detail: 'Busy.', code: 'unavailable' } }));
    await page.getByText('Irisflow', { exact: true }).click();
    await choosePhoto(page, BAD_PHOTO);
    await page.getByRole('button', { name: 'Process' }).click();
    await page.waitForURL(/#\/jobs\//);
    await page.unroute('**/check');
    await page.getByRole('heading', { name: 'This photo will not do' }).waitFor();
    await screenshot(page, 'problem');
    await assertFits(page);
  });

  await story('the eye in a rejected photo is outlined', async () => {
    const blurred = await blurredCopy(page, PHOTO);
    await page.getByText('Irisflow', { exact: true }).click();
    await choosePhoto(page, blurred);
    await page.getByRole('button', { name: 'Process' }).click();
    await page.getByRole('heading', { name: 'We see your eye, but' }).waitFor();
    const outline = page.getByRole('img', { name: 'The outline of your iris' });
    await assertLiesOver(outline.locator('ellipse').first(), page.getByAltText('What you picked'));
    console.log(`    it says: ${(await page.getByRole('alert').innerText()).replaceAll(/\n+/g, ' / ')}`);
    await screenshot(page, 'outlined');
    await assertFits(page);
    rmSync(blurred);
  });

  await story('the page also fits the smallest phones and a desktop', async () => {
    const storageState = await context.storageState();
    for (const [width, height, isMobile] of [
      [360, 740, true],
      [1280, 800, false],
    ]) {
      const other = await browser.newContext({ viewport: { width, height }, isMobile, hasTouch: isMobile, storageState });
      const otherPage = await other.newPage();
      await otherPage.goto(BASE_URL);
      const pictures = otherPage.getByRole('link', { name: 'Finished picture' });
      await pictures.first().waitFor();
      await screenshot(otherPage, `capture-${width}`);
      await assertFits(otherPage);
      await pictures.first().click();
      await waitForImage(otherPage.getByAltText('Your iris, finished'));
      await screenshot(otherPage, `result-${width}`);
      await assertFits(otherPage);
      await other.close();
    }
  });

  await story('signing out returns to the sign-in screen, and the account can sign in again', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await signIn(page, email, 'Wrong-Iris-7');
    await page.getByText('Address and password do not match.').waitFor();
    await signIn(page, email);
    await page.getByRole('navigation', { name: 'Your recent pictures' }).waitFor();
  });

  assert.deepEqual(errors, [], 'no errors in the browser');
  console.log('whole path: ok');
} finally {
  await browser.close();
}
