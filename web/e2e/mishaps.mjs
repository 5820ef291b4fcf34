// What people run into, in a real browser at phone size, against a server that requires consent and
// works on one photo at a time: the question for consent, double taps, files that are no photos,
// pictures that become finished while one looks at them, stopping.
//
//   CONSENT_URL=http://127.0.0.1:8081 PHOTO=eye.jpg node e2e/mishaps.mjs
//
// with `irisflow serve --listen 127.0.0.1:8081 --consent-required --workers 1`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  choose,
  createStory,
  finished,
  fits,
  listen,
  needed,
  openBrowser,
  openPage,
  PHONE,
  register,
  shot,
  signIn,
} from './browser.mjs';

const CONSENT_URL = needed('CONSENT_URL');
const PHOTO = needed('PHOTO');
const A_SLOW_NETWORK_MS = 1_500;
/** Longer than a guarded button ignores presses. */
const A_THOUGHT_MS = 1_000;

const browser = await openBrowser();

try {
  const context = await browser.newContext(PHONE);
  const page = await openPage(context);
  const complaints = listen(page);
  const story = createStory(page);
  const sent = [];
  page.on('request', (request) => {
    if (request.method() === 'PUT' || request.url().includes('/photos/upload')) sent.push(request.url());
  });
  const home = () => page.getByText('Irisflow', { exact: true }).click();
  const process = page.getByRole('button', { name: 'Process' });
  const recent = page.getByRole('navigation', { name: 'Your recent pictures' });

  const email = await register(page, CONSENT_URL);

  await story('the agreement is asked for in plain words, and nothing goes on without it', async () => {
    await choose(page, PHOTO);
    await process.click();
    const asked = page.getByRole('dialog');
    await asked.getByRole('button', { name: 'I agree' }).waitFor();
    const words = await asked.innerText();
    console.log(`    it asks: ${words.replaceAll(/\n+/g, ' / ')}`);
    assert.doesNotMatch(words, /POST|api|consent_type/);
    await shot(page, 'consent');
    await fits(page);
    await page.waitForTimeout(A_THOUGHT_MS);
    await asked.getByRole('button', { name: 'Not now' }).click();
    await page.getByText('only when you agree').waitFor();
    await shot(page, 'consent-declined');
    await fits(page);
  });

  await story('who agrees goes on with what was held up', async () => {
    await page.getByRole('button', { name: 'Try again' }).click();
    const agree = page.getByRole('button', { name: 'I agree' });
    await agree.waitFor();
    await page.waitForTimeout(A_THOUGHT_MS);
    await agree.click();
    await finished(page);
  });

  await story('a double tap on Process makes one job and cancels nothing', async () => {
    await page.route('**/files/**', async (route) => {
      await new Promise((resolve) => setTimeout(resolve, route.request().method() === 'PUT' ? A_SLOW_NETWORK_MS : 0));
      await route.continue();
    });
    const before = await jobs(page);
    await home();
    await choose(page, PHOTO);
    const box = await process.boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    await page.touchscreen.tap(x, y);
    await page.touchscreen.tap(x, y);
    await shot(page, 'sending');
    await fits(page);
    await page.waitForURL(/#\/jobs\//);
    await finished(page);
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

  await story('HEIC and text are told when they are picked, before anything is sent', async () => {
    const heic = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypheic\0\0\0\0heicmif1'), Buffer.alloc(4096)]);
    const files = [
      { name: 'IMG_0001.HEIC', mimeType: 'image/heic', buffer: heic, says: /HEIC.*Most Compatible.*JPEG/s },
      { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('Dear diary'), says: /not a photo.*JPEG/s },
    ];
    sent.length = 0;
    for (const { says, ...file } of files) {
      await home();
      await choose(page, file);
      const words = await page.getByRole('alert').innerText();
      console.log(`    it says: ${words.replaceAll(/\n+/g, ' / ')}`);
      assert.match(words, says);
      await page.getByText('Take another photo').waitFor();
      await shot(page, `refused-${file.name}`);
      await fits(page);
    }
    assert.deepEqual(sent, []);
  });

  await story('a photo that is too large is told before it is sent', async () => {
    sent.length = 0;
    await home();
    const large = Buffer.concat([readFileSync(PHOTO), Buffer.alloc(51 << 20)]);
    // As a person would pick it: too large for the browser's test protocol.
    await page.locator('input[type=file]:not([capture])').evaluate((input, size) => {
      const files = new DataTransfer();
      files.items.add(new File([new Uint8Array([0xff, 0xd8, 0xff]), new Uint8Array(size)], 'large.jpg', { type: 'image/jpeg' }));
      input.files = files.files;
      input.dispatchEvent(new Event('change', { bubbles: true }));
    }, large.length);
    await process.click();
    const words = await page.getByRole('alert').innerText();
    console.log(`    it says: ${words.replaceAll(/\n+/g, ' / ')}`);
    assert.match(words, /51\.\d MB.*50 MB/s);
    assert.deepEqual(sent.filter((url) => url.includes('/files/')), []);
    await shot(page, 'too-large');
  });

  await story('recent pictures become finished while one looks at them', async () => {
    const [{ photo_id: photo }] = await jobs(page);
    for (let count = 0; count < 3; count += 1) await api(page, 'POST', '/processing/submit', { photo_id: photo });
    await home();
    await recent.getByRole('link', { name: /^Working/ }).first().waitFor();
    await shot(page, 'recent-working');
    await fits(page);
    await recent.getByRole('link', { name: /^Working/ }).first().waitFor({ state: 'detached' });
    assert.ok((await recent.getByRole('link', { name: 'Finished picture' }).count()) >= 5);
    for (const image of await recent.locator('img').all()) {
      await image.evaluate((node) => node.decode());
      assert.ok((await image.evaluate((node) => node.naturalWidth)) <= 512, 'a thumbnail');
    }
    await shot(page, 'recent-finished');
    await fits(page);
  });

  await story('a job that waits is stopped after a second thought, and can be tried again', async () => {
    const [{ photo_id: photo }] = await jobs(page);
    const made = [];
    // The one that is stopped must still wait after two thoughts, also on a fast machine.
    for (let count = 0; count < 24; count += 1) {
      made.push(await api(page, 'POST', '/processing/submit', { photo_id: photo }));
    }
    await page.goto(`${CONSENT_URL}/#/jobs/${made.at(-1).job_id}`);
    await page.waitForTimeout(A_THOUGHT_MS);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('Stop making this picture?').waitFor();
    await shot(page, 'stop-asked');
    await fits(page);
    await page.waitForTimeout(A_THOUGHT_MS);
    await page.getByRole('button', { name: 'Yes, stop it' }).click();
    await page.getByRole('heading', { name: 'Stopped' }).waitFor();
    await shot(page, 'stopped');
    await fits(page);
    await page.getByRole('button', { name: 'Try again' }).click();
    await finished(page);
  });

  await story('an agreement can be taken back, and is asked for again before the next photo', async () => {
    await page.getByRole('button', { name: 'Your data' }).click();
    const data = page.getByRole('dialog');
    const takeBack = data.getByRole('button', { name: 'Take back my agreement' });
    await takeBack.waitFor();
    await shot(page, 'your-data');
    await fits(page);
    await page.waitForTimeout(A_THOUGHT_MS);
    await takeBack.click();
    await data.getByText('Before the next photo we ask again.').waitFor();
    await data.getByRole('button', { name: 'Close' }).click();
    await home();
    await choose(page, PHOTO);
    await process.click();
    await page.getByRole('button', { name: 'I agree' }).waitFor();
    await page.waitForTimeout(A_THOUGHT_MS);
    await page.getByRole('button', { name: 'Not now' }).click();
  });

  await story('a photo is deleted with every picture made from it, after a second thought', async () => {
    await home();
    await recent.getByRole('link', { name: 'Finished picture' }).first().click();
    await finished(page);
    const [{ photo_id: photo }] = (await jobs(page)).filter((job) => page.url().endsWith(job.job_id));
    await page.getByRole('button', { name: 'Delete this photo' }).click();
    await shot(page, 'delete-asked');
    await fits(page);
    await page.waitForTimeout(A_THOUGHT_MS);
    await page.getByRole('button', { name: 'Yes, delete' }).click();
    await page.getByRole('heading', { name: 'Take a photo of one eye' }).waitFor();
    assert.deepEqual((await jobs(page)).filter((job) => job.photo_id === photo), []);
  });

  await story('an account is deleted with everything in it', async () => {
    await page.getByRole('button', { name: 'Your data' }).click();
    await page.getByRole('button', { name: 'Delete my account' }).click();
    await shot(page, 'delete-account');
    await fits(page);
    await page.waitForTimeout(A_THOUGHT_MS);
    await page.getByRole('button', { name: 'Yes, delete everything' }).click();
    await page.getByText('Your account has been deleted').waitFor();
    await signIn(page, email);
    await page.getByText('Address and password do not match.').waitFor();
  });

  assert.deepEqual(complaints, [], 'the browser had nothing to complain about');
  console.log('mishaps: ok');
} finally {
  await browser.close();
}

/** What this account has submitted, newest first. */
async function jobs(page) {
  return (await api(page, 'GET', '/processing/jobs?page_size=20')).items;
}

/** A call as the page makes it, for what would take a person too long. */
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
