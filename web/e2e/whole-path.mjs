// The whole path in a real browser at phone size, against a running server:
// register, send a photo, see what was found in it and each step, compare the result, reload
// in the middle of a second job, lose the socket, send photos that will not do, sign out and in
// again.
//
//   BASE_URL=http://127.0.0.1:8080 PHOTO=eye.jpg BAD_PHOTO=bear.jpg npm run e2e
//
// SHOTS=folder keeps screenshots. CHROMIUM names another browser.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import {
  blurredCopy,
  choose,
  collectSpokenSteps,
  createStory,
  finished,
  fits,
  liesOver,
  listen,
  loaded,
  naturalWidth,
  needed,
  openBrowser,
  openPage,
  PASSWORD,
  PHONE,
  register,
  shot,
  signIn,
  STEPS,
} from './browser.mjs';

const BASE_URL = process.env.BASE_URL ?? 'http://127.0.0.1:8080';
const PHOTO = needed('PHOTO');
const BAD_PHOTO = needed('BAD_PHOTO');

const browser = await openBrowser();

try {
  const context = await browser.newContext(PHONE);
  const page = await openPage(context);
  const complaints = listen(page);
  await collectSpokenSteps(page);
  const story = createStory(page);

  let email;

  await story('the door asks to sign in, and explains what a password needs', async () => {
    await page.goto(BASE_URL);
    await page.getByRole('heading', { name: 'See your own iris' }).waitFor();
    await shot(page, 'sign-in');
    await page.getByRole('button', { name: 'New here?' }).click();
    await page.getByLabel('Email').fill('eye@example.com');
    await page.getByLabel('Password', { exact: true }).fill('short');
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('alert').getByText('It still needs').waitFor();
    await shot(page, 'password-rules');
    await fits(page);
  });

  await story('a new account is signed in at once', async () => {
    email = await register(page, BASE_URL);
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
    assert.match(download.suggestedFilename(), /^irisflow-\d{4}-\d{2}-\d{2}-\d{6}-[0-9a-f]{6}\.jpg$/);
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
    await page.getByRole('link', { name: 'Finished picture' }).first().waitFor();
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
    assert.equal(await page.getByRole('button', { name: /anyway/ }).count(), 0);
  });

  await story('when only the job could look at the photo, its end says the same', async () => {
    await page.route('**/check', (route) => route.fulfill({ status: 503, json: { detail: 'Busy.', code: 'unavailable' } }));
    await page.getByText('Irisflow', { exact: true }).click();
    await choose(page, BAD_PHOTO);
    await page.getByRole('button', { name: 'Process' }).click();
    await page.waitForURL(/#\/jobs\//);
    await page.unroute('**/check');
    await page.getByRole('heading', { name: 'This photo will not do' }).waitFor();
    await shot(page, 'problem');
    await fits(page);
  });

  await story('an eye that is seen and will not do is outlined', async () => {
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
    rmSync(blurred);
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
      const pictures = there.getByRole('link', { name: 'Finished picture' });
      await pictures.first().waitFor();
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
    await signIn(page, email, 'Wrong-Iris-7');
    await page.getByText('Address and password do not match.').waitFor();
    await signIn(page, email);
    await page.getByRole('navigation', { name: 'Your recent pictures' }).waitFor();
  });

  assert.deepEqual(complaints, [], 'the browser had nothing to complain about');
  console.log('whole path: ok');
} finally {
  await browser.close();
}
