// Pages of other origins in a real browser: one that the server allows does the whole path over the API, one
// that it does not allow is refused. And the API documentation works under its content security policy.
//
//   BASE_URL=http://127.0.0.1:8080 ALLOWED_ORIGIN=http://localhost:4710 PHOTO=eye.jpg node e2e/cross-origin.mjs
//
// with `irisflow serve --allowed-origins http://localhost:4710`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { requiredEnv, openBrowser } from './browser.mjs';

const BASE_URL = requiredEnv('BASE_URL');
const ALLOWED_ORIGIN = requiredEnv('ALLOWED_ORIGIN');
const PHOTO = readFileSync(requiredEnv('PHOTO')).toString('base64');

/** Serves an empty page; port 0 is any free port. */
async function serveEmptyPage(port) {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>Another page</title>');
  });
  await new Promise((resolve) => server.listen(port, 'localhost', resolve));
  return server;
}

/** Runs in the page: an account, a photo by its signed URL, a job to its end, its picture, an error. */
async function wholePath({ api, photo, email }) {
  const account = { email, password: 'Clear-Iris-7' };
  const json = { 'content-type': 'application/json' };
  const send = async (method, path, { token, body, headers } = {}) => {
    const response = await fetch(`${api}/api/v1${path}`, {
      method,
      headers: { ...(body && json), ...(token && { authorization: `Bearer ${token}` }), ...headers },
      body: body && JSON.stringify(body),
    });
    return { status: response.status, id: response.headers.get('x-request-id'), body: await response.json() };
  };
  await send('POST', '/auth/register', { body: account });
  const { access_token: token } = (await send('POST', '/auth/login/json', { body: account })).body;
  const upload = (await send('POST', '/photos/upload', { token, body: { content_type: 'image/jpeg' } })).body;
  const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
  const put = await fetch(upload.upload_url, { method: 'PUT', headers: { 'content-type': 'image/jpeg' }, body: bytes });
  await send('POST', `/photos/${upload.photo_id}/confirm`, { token, body: {} });
  const headers = { 'idempotency-key': crypto.randomUUID() };
  const submitted = await send('POST', '/processing/submit', { token, headers, body: { photo_id: upload.photo_id } });
  const { job_id } = submitted.body;
  const last = await new Promise((resolve) => {
    let frame;
    const socket = new WebSocket(`${api.replace('http', 'ws')}/ws/jobs/${job_id}?token=${token}`);
    socket.onmessage = (message) => (frame = JSON.parse(message.data));
    socket.onclose = () => resolve(frame);
  });
  const picture = await fetch(last.result_url);
  const refused = await send('GET', '/users/me');
  return {
    put: put.status,
    last: last.status,
    picture: (await picture.blob()).size,
    error: refused.body.code,
    errorId: refused.id,
  };
}

const browser = await openBrowser();
const allowed = await serveEmptyPage(new URL(ALLOWED_ORIGIN).port);
const other = await serveEmptyPage(0);
try {
  const page = await browser.newPage();
  const options = { api: BASE_URL, photo: PHOTO, email: `page-${Date.now()}@example.com` };

  await page.goto(ALLOWED_ORIGIN);
  const done = await page.evaluate(wholePath, options);
  assert.equal(done.put, 200);
  assert.equal(done.last, 'completed');
  assert.ok(done.picture > 10_000, `a picture of ${done.picture} bytes`);
  assert.equal(done.error, 'not_authenticated');
  assert.ok(done.errorId, 'an error has a request id');
  console.log('  a page of an allowed origin does the whole path, and can read errors');

  await page.goto(`http://localhost:${other.address().port}`);
  await assert.rejects(page.evaluate(wholePath, options), /Failed to fetch/);
  console.log('  a page of another origin is refused');

  const errors = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  const otherHosts = [];
  page.on('request', (request) => request.url().startsWith('data:') || request.url().startsWith(BASE_URL) || otherHosts.push(request.url()));
  await page.goto(`${BASE_URL}/docs/`);
  await page.getByText('/api/v1/processing/submit').first().waitFor();
  const health = page.locator('.opblock', { has: page.locator('[data-path="/health"]') });
  await health.locator('.opblock-summary-control').click();
  await health.getByRole('button', { name: 'Try it out' }).click();
  await health.getByRole('button', { name: 'Execute' }).click();
  await health.locator('.live-responses-table .response-col_status', { hasText: '200' }).first().waitFor();
  assert.deepEqual(errors, [], 'no errors under its policy');
  assert.deepEqual(otherHosts, [], 'no requests to other hosts');
  console.log('  the API documentation works, also offline');
  console.log('cross-origin: ok');
} finally {
  await browser.close();
  allowed.close();
  other.close();
}
