// Requests: sessions, retries, uploads, errors; and `process`, the one call for everything.

import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import {
  ApiError,
  inMemoryTokens,
  IrisflowClient,
  JobFailedError,
  NetworkError,
  SignedOutError,
  type ProcessProgress,
} from '../src/index.ts';
import { contentTypeOf } from '../src/photo-upload.ts';
import { SseParser } from '../src/transports/sse.ts';
import { FakeServer } from './fake-server.ts';
import { clientOf, until } from './live-client.ts';

const EXPIRED = { access_token: 'token-0', refresh_token: 'refresh-0' };
const RENEWED = { access_token: 'token-1', refresh_token: 'refresh-1' };

async function signedIn(t: TestContext, tokens = inMemoryTokens(EXPIRED)) {
  const server = await FakeServer.start(t);
  server.routes.set('POST /api/v1/auth/refresh', () => ({ status: 200, body: RENEWED }));
  server.emit('queued', 'a');
  const client = new IrisflowClient({ baseUrl: server.url, tokens, random: () => 0.001 });
  return { server, client, tokens };
}

describe('a session', () => {
  test('login keeps both tokens and uses the access token', async (t) => {
    const { server, client, tokens } = await signedIn(t, inMemoryTokens());
    server.routes.set('POST /api/v1/auth/login/json', () => ({ status: 200, body: RENEWED }));
    await client.login('you@example.com', 'Clear-Iris-7');
    assert.deepEqual(tokens.read(), RENEWED);
    assert.equal((await client.job('a')).job_id, 'a');
  });

  test('concurrent requests with an expired token share one renewal, and are all repeated', async (t) => {
    const { server, client, tokens } = await signedIn(t);
    const jobs = await Promise.all(Array.from({ length: 5 }, () => client.job('a')));
    assert.equal(jobs.length, 5);
    assert.equal(server.count('/api/v1/auth/refresh'), 1);
    assert.deepEqual(tokens.read(), RENEWED);
  });

  test('a token that another tab has renewed is used without another renewal', async (t) => {
    const { server, client, tokens } = await signedIn(t);
    server.routes.set('GET /api/v1/users/me', ({ headers }) => {
      tokens.write(RENEWED);
      return headers.authorization === 'Bearer token-1' ? { status: 200, body: {} } : { status: 401, body: {} };
    });
    await client.request('GET', '/users/me');
    assert.equal(server.count('/api/v1/auth/refresh'), 0);
  });

  test('a refused renewal ends it', async (t) => {
    const { server, client, tokens } = await signedIn(t);
    server.routes.set('POST /api/v1/auth/refresh', () => ({ status: 401, body: { detail: 'Reused' } }));
    await assert.rejects(client.job('a'), SignedOutError);
    assert.equal(tokens.read(), null);
  });

  test('a renewal that another tab has won is no end', async (t) => {
    const { server, client, tokens } = await signedIn(t);
    server.routes.set('POST /api/v1/auth/refresh', () => {
      tokens.write(RENEWED);
      return { status: 401, body: { detail: 'Reused' } };
    });
    assert.equal((await client.job('a')).job_id, 'a');
    assert.deepEqual(tokens.read(), RENEWED);
  });

  test('an outage during the renewal does not end it', async (t) => {
    const { server, client, tokens } = await signedIn(t);
    server.routes.set('POST /api/v1/auth/refresh', () => ({ status: 503, body: {} }));
    await assert.rejects(client.job('a'), { status: 503 });
    assert.deepEqual(tokens.read(), EXPIRED);
  });

  test('logout clears the tokens, also when the server cannot be reached', async (t) => {
    const { server, client, tokens } = await signedIn(t);
    await server.stop();
    await assert.rejects(client.logout(), NetworkError);
    assert.equal(tokens.read(), null);
    await server.listen();
  });
});

test('a fetch that must not be a method, as that of browsers', async (t) => {
  const server = await FakeServer.start(t);
  server.emit('queued', 'a');
  const fetch = function (this: unknown, ...request: Parameters<typeof globalThis.fetch>) {
    assert.equal(this, undefined);
    return globalThis.fetch(...request);
  };
  assert.equal((await clientOf(server, { fetch }).job('a')).job_id, 'a');
});

describe('a duplicate submit', () => {
  test('a retry carries the same key and body, so that the server answers with the first job', async (t) => {
    const server = await FakeServer.start(t);
    let refusals = 2;
    server.routes.set('POST /api/v1/processing/submit', () =>
      refusals-- > 0 ? { status: 503, body: {} } : { status: 201, body: { job_id: 'a' } },
    );
    assert.equal((await clientOf(server).submit('photo')).job_id, 'a');
    const keys = server.requests.map(({ headers, body }) => `${headers['idempotency-key'] as string} ${body}`);
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1);
    assert.match(keys[0] ?? '', /^[0-9a-f]{32} \{"photo_id":"photo"\}$/);
  });

  test('two calls are two jobs, unless the caller gives the key', async (t) => {
    const server = await FakeServer.start(t);
    server.routes.set('POST /api/v1/processing/submit', () => ({ status: 201, body: {} }));
    const client = clientOf(server);
    await client.submit('photo');
    await client.submit('photo');
    await client.submit('photo', { idempotencyKey: 'mine' });
    const keys = server.requests.map(({ headers }) => headers['idempotency-key']);
    assert.equal(new Set(keys).size, 3);
    assert.equal(keys[2], 'mine');
  });
});

test('options of the picture go with every call that makes one', async (t) => {
  const server = await FakeServer.start(t);
  const paths = ['/processing/submit', '/processing/batch', '/processing/jobs/a/reprocess'];
  for (const path of paths) server.routes.set(`POST /api/v1${path}`, () => ({ status: 201, body: {} }));
  const client = clientOf(server);
  const picture = { preset: 'vivid', size: 'auto' } as const;
  await client.submit('photo', { picture });
  await client.submitBatch(['photo'], { picture });
  await client.reprocess('a', { picture });
  await client.reprocess('a');
  assert.deepEqual(
    server.requests.map(({ body }) => body && (JSON.parse(body) as unknown)),
    [{ photo_id: 'photo', options: picture }, { photo_ids: ['photo'], options: picture }, { options: picture }, ''],
  );
});

describe('errors', () => {
  test('carry status, code, detail, suggestion and the time of the next try', async (t) => {
    const server = await FakeServer.start(t);
    const body = { detail: 'HEIC is not read here.', code: 'unsupported_format', suggestion: 'Send a JPEG.' };
    server.routes.set('POST /api/v1/photos', () => ({ status: 415, body, headers: { 'retry-after': '7' } }));
    const error = await clientOf(server)
      .uploadPhoto(new Blob(['x']))
      .catch((caught: unknown) => caught);
    assert.ok(error instanceof ApiError);
    assert.deepEqual(
      [error.status, error.code, error.message, error.suggestion, error.retryAfterMs],
      [415, 'unsupported_format', 'HEIC is not read here.', 'Send a JPEG.', 7000],
    );
  });

  test('the page of a proxy is an error without a detail', async (t) => {
    const server = await FakeServer.start(t);
    server.routes.set('POST /api/v1/photos', () => ({ status: 502, body: '<html>' }));
    const upload = clientOf(server).uploadPhoto(new Blob(['x']));
    await assert.rejects(upload, { status: 502, code: null, detail: null, message: 'HTTP status 502' });
  });

  test('the issues of a validation are joined', async (t) => {
    const server = await FakeServer.start(t);
    const detail = [{ loc: ['body'], msg: 'Too short.', type: 'x' }, { msg: 'No digit.' }];
    server.routes.set('POST /api/v1/auth/register', () => ({ status: 422, body: { detail } }));
    await assert.rejects(clientOf(server).register('a@b.c', 'x'), { message: 'Too short. No digit.', code: null });
  });

  test('a request that is not safe to repeat is not repeated', async (t) => {
    const server = await FakeServer.start(t);
    server.routes.set('POST /api/v1/photos', () => ({ status: 503, body: {} }));
    await assert.rejects(clientOf(server).uploadPhoto(new Blob(['x'])), { status: 503 });
    assert.equal(server.requests.length, 1);
  });

  test('aborting rejects with the reason of the signal, also between retries', async (t) => {
    const server = await FakeServer.start(t);
    server.routes.set('GET /api/v1/processing/jobs/a', () => ({
      status: 503,
      body: {},
      headers: { 'retry-after': '20' },
    }));
    const controller = new AbortController();
    const call = clientOf(server).job('a', controller.signal);
    await until(() => server.requests.length === 1, 'the request');
    controller.abort(new Error('enough'));
    await assert.rejects(call, /enough/);
  });
});

describe('uploads', () => {
  test('presigned: the bytes go to the signed URL, without the session, and are confirmed', async (t) => {
    const server = await FakeServer.start(t);
    const slot = { upload_url: `${server.url}/storage?sig=1`, photo_id: 'p', max_bytes: 100 };
    let refusals = 1;
    server.routes.set('POST /api/v1/photos/upload', () => ({ status: 201, body: slot }));
    server.routes.set('PUT /storage', () => ({ status: refusals-- > 0 ? 503 : 200 }));
    server.routes.set('POST /api/v1/photos/p/confirm', () => ({ status: 200, body: { id: 'p' } }));
    const sent: number[] = [];
    const photo = new Blob(['bytes'], { type: 'image/jpeg' });
    const options = { presigned: true, onSent: (share: number) => sent.push(share) };
    assert.equal((await clientOf(server).uploadPhoto(photo, options)).id, 'p');
    const puts = server.requests.filter(({ method }) => method === 'PUT');
    assert.deepEqual(
      puts.map(({ headers, body }) => [headers.authorization, headers['content-type'], body]),
      Array(2).fill([undefined, 'image/jpeg', 'bytes']),
    );
    assert.deepEqual(sent, [1]);
  });

  test('presigned: a photo with too many bytes is not sent', async (t) => {
    const server = await FakeServer.start(t);
    const slot = { upload_url: `${server.url}/storage`, photo_id: 'p', max_bytes: 3 };
    server.routes.set('POST /api/v1/photos/upload', () => ({ status: 201, body: slot }));
    const upload = clientOf(server).uploadPhoto(new Blob(['bytes']), { presigned: true });
    await assert.rejects(upload, { name: 'PhotoTooLargeError', code: 'image_too_large', bytes: 5, maxBytes: 3 });
    assert.equal(server.count('/storage'), 0);
  });

  test('the content type follows from the extension where a browser reports none', () => {
    assert.equal(contentTypeOf(new File([], 'IMG_1.HEIC')), 'image/heic');
    assert.equal(contentTypeOf(new Blob([], { type: 'image/png' })), 'image/png');
    assert.equal(contentTypeOf(new Blob([])), 'application/octet-stream');
  });
});

describe('process', () => {
  async function withPhotos(t: TestContext) {
    const server = await FakeServer.start(t);
    server.routes.set('POST /api/v1/photos', () => ({ status: 201, body: { id: 'photo' } }));
    server.routes.set('POST /api/v1/processing/submit', () => {
      server.emit('queued', 'a');
      return { status: 201, body: server.jobs.get('a') };
    });
    return { server, client: clientOf(server), photo: new Blob(['x'], { type: 'image/jpeg' }) };
  }

  test('uploads, submits, watches, and resolves with the finished job', async (t) => {
    const { server, client, photo } = await withPhotos(t);
    const progress: ProcessProgress[] = [];
    const result = client.process(photo, { onProgress: (step) => progress.push(step) });
    await until(() => server.connections.size === 1, 'the connection');
    server.emit('progress', 'a', { progress: 40 });
    await until(() => progress.some((step) => step.phase === 'processing' && step.job.progress === 40), 'progress');
    server.emit('completed', 'a', { result_url: 'https://pictures.example/1' });
    assert.equal((await result).result_url, 'https://pictures.example/1');
    assert.deepEqual(progress[0], { phase: 'uploading', sent: 1 });
    await until(() => server.connections.size === 0, 'the end of the connection');
  });

  test('a failed job rejects with the job', async (t) => {
    const { server, client, photo } = await withPhotos(t);
    const result = client.process(photo);
    await until(() => server.connections.size === 1, 'the connection');
    server.emit('failed', 'a', { error_code: 'too_dark', error_message: 'The photo is too dark.' });
    await assert.rejects(result, (error: unknown) => {
      assert.ok(error instanceof JobFailedError);
      assert.equal(error.message, 'The photo is too dark.');
      return error.job.error_code === 'too_dark';
    });
  });

  test('aborting stops it in every phase', async (t) => {
    const { server, client, photo } = await withPhotos(t);
    const controller = new AbortController();
    const result = client.process(photo, { signal: controller.signal });
    await until(() => server.connections.size === 1, 'the connection');
    controller.abort();
    await assert.rejects(result, { name: 'AbortError' });
    await until(() => server.connections.size === 0, 'the end of the connection');
    await assert.rejects(client.process(photo, { signal: controller.signal }), { name: 'AbortError' });
  });
});

test('server-sent events are put together from any pieces', () => {
  const stream = 'retry: 1\n\n: ping\n\nevent: a\ndata: {"x":\ndata: 1}\n\r\ndata:2\r\n\r\nid: 3\ndata: 3\n\n';
  for (let size = 1; size <= stream.length; size += 1) {
    const parser = new SseParser();
    const found: string[] = [];
    for (let at = 0; at < stream.length; at += size) found.push(...parser.push(stream.slice(at, at + size)));
    assert.deepEqual(found, ['{"x":\n1}', '2', '3'], `pieces of ${size}`);
  }
});
