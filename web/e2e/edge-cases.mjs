// Edge cases in a real browser at phone size, against a server that requires consent and processes one photo
// at a time: consent, double taps, files that are not photos, the list of recent jobs, cancelling, deleting.
//
//   CONSENT_URL=http://127.0.0.1:8081 PHOTO=eye.jpg node e2e/edge-cases.mjs
//
// with `irisflow serve --listen 127.0.0.1:8081 --consent-required --workers 1`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  choosePhoto,
  clickGuarded,
  createStory,
  waitForResult,
  assertFits,
  collectErrors,
  requiredEnv,
  openBrowser,
  openPage,
  PHONE,
  register,
  screenshot,
  signIn,
} from './browser.mjs';

const CONSENT_URL = requiredEnv('CONSENT_URL');
const PHOTO = requiredEnv('PHOTO');

const browser = await openBrowser();

try {
  const context = await browser.newContext(PHONE);
  const page = await openPage(context);
  const errors = collectErrors(page);
  const story = createStory(page);
  const uploads = [];
  page.on('request', (request) => {
    if (request.method() === 'PUT' || request.url().includes('/photos/upload')) uploads.push(request.url());
  });
  const home = () => page.getByText('Irisflow', { exact: true }).click();
  const process = page.getByRole('button', { name: 'Process' });
  const recent = page.getByRole('navigation', { name: 'Your recent pictures' });

  const email = await register(page, CONSENT_URL);

  await story('consent is asked for in plain words, and nothing is sent without it', async () => {
    await choosePhoto(page, PHOTO);
    await process.click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'I agree' }).waitFor();
    const text = await dialog.innerText();
    console.log(`    it asks: ${text.replaceAll(/\n+/g, ' / ')}`);
    assert.doesNotMatch(text, /POST|api|consent_type/);
    await screenshot(page, 'consent');
    await assertFits(page);
    await clickGuarded(dialog.getByRole('button', { name: 'Not now' }));
    await page.getByText('only when you agree').waitFor();
    await screenshot(page, 'consent-declined');
    await assertFits(page);
  });

  await story('after consent the photo is sent', async () => {
    await page.getByRole('button', { name: 'Try again' }).click();
    await clickGuarded(page.getByRole('button', { name: 'I agree' }));
    await waitForResult(page);
  });

  await story('a double tap on Process makes one job and cancels nothing', async () => {
    let continueUpload;
    const tapped = new Promise((resolve) => (continueUpload = resolve));
    await page.route('**/files/**', async (route) => {
      if (route.request().method() === 'PUT') await tapped;
      await route.continue();
    });
    const before = await jobs(page);
    await home();
    await choosePhoto(page, PHOTO);
    const box = await process.boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    await page.touchscreen.tap(x, y);
    await page.touchscreen.tap(x, y);
    await page.getByRole('button', { name: 'Cancel' }).waitFor();
    await screenshot(page, 'sending');
    await assertFits(page);
    continueUpload();
    await page.waitForURL(/#\/jobs\//);
    await waitForResult(page);
    assert.equal((await jobs(page)).length, before.length + 1);
    await page.unrouteAll();
  });

  await story('two pictures are saved under two names', async () => {
    const names = [];
    for (const job of (await jobs(page)).slice(0, 2)) {
      await page.goto(`${CONSENT_URL}/#/jobs/${job.job_id}`);
      const download = page.waitForEvent('download');
      await page.getByRole('button', { name: 'Save' }).click();
      names.push((await download).suggestedFilename());
    }
    console.log(`    ${names.join(', ')}`);
    assert.equal(new Set(names).size, 2);
  });

  await story('HEIC and text files are rejected when they are picked, before anything is sent', async () => {
    const heic = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypheic\0\0\0\0heicmif1'), Buffer.alloc(4096)]);
    const files = [
      { name: 'IMG_0001.HEIC', mimeType: 'image/heic', buffer: heic, message: /HEIC.*Most Compatible.*JPEG/s },
      { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('Dear diary'), message: /not a photo.*JPEG/s },
    ];
    uploads.length = 0;
    for (const { message, ...file } of files) {
      await home();
      await choosePhoto(page, file);
      const text = await page.getByRole('alert').innerText();
      console.log(`    it says: ${text.replaceAll(/\n+/g, ' / ')}`);
      assert.match(text, message);
      await page.getByText('Take another photo').waitFor();
      await screenshot(page, `rejected-${file.name}`);
      await assertFits(page);
    }
    assert.deepEqual(uploads, []);
  });

  await story('a photo that is too large is rejected before it is sent', async () => {
    uploads.length = 0;
    await home();
    const large = Buffer.concat([readFileSync(PHOTO), Buffer.alloc(51 << 20)]);
    // Set in the page, because the file is too large for the test protocol.
    await page.locator('input[type=file]:not([capture])').evaluate((input, size) => {
      const files = new DataTransfer();
      files.items.add(new File([new Uint8Array([0xff, 0xd8, 0xff]), new Uint8Array(size)], 'large.jpg', { type: 'image/jpeg' }));
      input.files = files.files;
      input.dispatchEvent(new Event('change', { bubbles: true }));
    }, large.length);
    await process.click();
    const text = await page.getByRole('alert').innerText();
    console.log(`    it says: ${text.replaceAll(/\n+/g, ' / ')}`);
    assert.match(text, /51\.\d MB.*50 MB/s);
    assert.deepEqual(uploads.filter((url) => url.includes('/files/')), []);
    await screenshot(page, 'too-large');
  });

  await story('the list of recent jobs updates itself', async () => {
    const [{ photo_id: photo }] = await jobs(page);
    for (let count = 0; count < 3; count += 1) await api(page, 'POST', '/processing/submit', { photo_id: photo });
    await home();
    await recent.getByRole('link', { name: /^Working/ }).first().waitFor();
    await screenshot(page, 'recent-working');
    await assertFits(page);
    await recent.getByRole('link', { name: /^Working/ }).first().waitFor({ state: 'detached' });
    assert.ok((await recent.getByRole('link', { name: 'Finished picture' }).count()) >= 5);
    for (const image of await recent.locator('img').all()) {
      await image.evaluate((node) => node.decode());
      assert.ok((await image.evaluate((node) => node.naturalWidth)) <= 512, 'a thumbnail');
    }
    await screenshot(page, 'recent-finished');
    await assertFits(page);
  });

  await story('a waiting job is cancelled after a confirmation, and can be tried again', async () => {
    const [{ photo_id: photo }] = await jobs(page);
    const submitted = [];
    // So many that the last one still waits when it is cancelled, also on a fast machine.
    for (let count = 0; count < 24; count += 1) {
      submitted.push(await api(page, 'POST', '/processing/submit', { photo_id: photo }));
    }
    await page.goto(`${CONSENT_URL}/#/jobs/${submitted.at(-1).job_id}`);
    await clickGuarded(page.getByRole('button', { name: 'Stop' }));
    await page.getByText('Stop making this picture?').waitFor();
    await screenshot(page, 'stop-asked');
    await assertFits(page);
    await clickGuarded(page.getByRole('button', { name: 'Yes, stop it' }));
    await page.getByRole('heading', { name: 'Stopped' }).waitFor();
    await screenshot(page, 'stopped');
    await assertFits(page);
    for (const { job_id: id } of submitted) await api(page, 'POST', `/processing/jobs/${id}/cancel`);
    await page.getByRole('button', { name: 'Try again' }).click();
    await waitForResult(page);
  });

  await story('consent can be withdrawn, and is asked for again before the next photo', async () => {
    await page.getByRole('button', { name: 'Your data' }).click();
    const dialog = page.getByRole('dialog');
    const withdraw = dialog.getByRole('button', { name: 'Take back my agreement' });
    await withdraw.waitFor();
    await screenshot(page, 'your-data');
    await assertFits(page);
    await clickGuarded(withdraw);
    await dialog.getByText('Before the next photo we ask again.').waitFor();
    await dialog.getByRole('button', { name: 'Close' }).click();
    await home();
    await choosePhoto(page, PHOTO);
    await process.click();
    await page.getByRole('button', { name: 'I agree' }).waitFor();
    await clickGuarded(page.getByRole('button', { name: 'Not now' }));
  });

  await story('a photo is deleted with every picture made from it, after a confirmation', async () => {
    await home();
    await recent.getByRole('link', { name: 'Finished picture' }).first().click();
    await waitForResult(page);
    const [{ photo_id: photo }] = (await jobs(page)).filter((job) => page.url().endsWith(job.job_id));
    await page.getByRole('button', { name: 'Delete this photo' }).click();
    await screenshot(page, 'delete-asked');
    await assertFits(page);
    await clickGuarded(page.getByRole('button', { name: 'Yes, delete' }));
    await page.getByRole('heading', { name: 'Take a photo of one eye' }).waitFor();
    assert.deepEqual((await jobs(page)).filter((job) => job.photo_id === photo), []);
  });

  await story('an account is deleted with everything in it', async () => {
    await page.getByRole('button', { name: 'Your data' }).click();
    await page.getByRole('button', { name: 'Delete my account' }).click();
    await screenshot(page, 'delete-account');
    await assertFits(page);
    await clickGuarded(page.getByRole('button', { name: 'Yes, delete everything' }));
    await page.getByText('Your account has been deleted').waitFor();
    await signIn(page, email);
    await page.getByText('Address and password do not match.').waitFor();
  });

  assert.deepEqual(errors, [], 'no errors in the browser');
  console.log('edge cases: ok');
} finally {
  await browser.close();
}

/** The jobs of this account, newest first. */
async function jobs(page) {
  return (await api(page, 'GET', '/processing/jobs?page_size=20')).items;
}

/** A request with the session of the page, for what would take too many clicks. */
function api(page, method, path, body) {
  return page.evaluate(
    async ([method, path, body]) => {
      const { access_token: token } = JSON.parse(localStorage.getItem('irisflow.tokens'));
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
      return answer.json();
    },
    [method, path, body],
  );
}
