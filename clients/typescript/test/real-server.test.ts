// From end to end, against the real program. Needs IRISFLOW_BIN.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import WebSocket from 'ws';
import {
  inMemoryTokens,
  IrisflowClient,
  SignedOutError,
  TRANSPORTS,
  type ClientOptions,
  type ProcessProgress,
} from '../src/index.ts';
import { EventReader, until } from './live-client.ts';
import { PROGRAM, RealServer } from './real-server.ts';
import { folder, missing, run } from './script.ts';

const PHOTO = '../../crates/irisflow-image/tests/photos/pixabay_eye_2154384.jpg';
const ACCOUNT = ['you@example.com', 'Clear-Iris-7'] as const;
const LIMIT_MS = 60_000;

async function photo(): Promise<Blob> {
  return new Blob([await readFile(PHOTO)], { type: 'image/jpeg' });
}

async function signedIn(t: TestContext, options: ClientOptions = {}) {
  const server = await RealServer.start(t);
  const open = (more: ClientOptions = {}) =>
    new IrisflowClient({
      baseUrl: server.url,
      WebSocket,
      ...options,
      ...more,
    });
  const client = open();
  await client.register(...ACCOUNT);
  await client.login(...ACCOUNT);
  return { server, client, open };
}

describe('the real server', { skip: PROGRAM === undefined && 'IRISFLOW_BIN names no program' }, () => {
  for (const transport of TRANSPORTS) {
    test(`a photo is processed, watched over ${transport}`, async (t) => {
      const { client } = await signedIn(t, { transports: [transport] });
      const progress: ProcessProgress[] = [];
      const onProgress = (step: ProcessProgress) => progress.push(step);
      const job = await client.process(await photo(), { onProgress, upload: { presigned: transport === 'sse' } });
      assert.equal(job.status, 'completed');
      assert.equal(job.result_width, 2048);
      const picture = await fetch(job.result_url ?? '');
      assert.equal(picture.headers.get('content-type'), 'image/jpeg');
      const seen = progress.flatMap((step) => (step.phase === 'processing' ? [step.job.progress] : []));
      assert.deepEqual(
        seen,
        [...seen].sort((a, b) => a - b),
      );
      assert.equal(seen.at(-1), 100);
    });
  }

  test('a restart in the middle: every event arrives once and in order', async (t) => {
    const { server, client } = await signedIn(t);
    const { id } = await client.uploadPhoto(await photo());
    const reader = new EventReader(client);
    await until(() => reader.types.includes('snapshot'), 'the snapshot', LIMIT_MS);
    const jobs = [];
    for (let index = 0; index < 3; index += 1) jobs.push(await client.submit(id));
    await until(() => reader.seqs.length > 4, 'the first events', LIMIT_MS);
    await server.restart();
    const ends = jobs.map(async ({ job_id }) => {
      let status = '';
      for await (const state of client.watchJob(job_id)) ({ status } = state);
      return status;
    });
    assert.deepEqual(await Promise.all(ends), Array(3).fill('completed'));
    const completed = () => reader.items.filter((item) => item.type === 'event' && item.event.kind === 'completed');
    await until(() => completed().length === 3, 'the three ends', LIMIT_MS);
    await reader.stop();
    const [first = 0] = reader.seqs;
    assert.ok(!reader.types.includes('gap'));
    assert.ok(
      reader.seqs.every((seq, index) => index === 0 || seq > (reader.seqs[index - 1] ?? 0)),
      String(reader.seqs),
    );
    assert.equal(
      reader.items.findIndex(({ type }) => type === 'snapshot'),
      0,
    );
    assert.ok(first > 0);
  });

  test('a stored cursor resumes, a foreign one gets a gap and a snapshot', async (t) => {
    const { client } = await signedIn(t);
    const first = new EventReader(client);
    await until(() => first.types.includes('snapshot'), 'the snapshot', LIMIT_MS);
    await first.stop();
    const [snapshot] = first.items;
    assert.ok(snapshot?.type === 'snapshot');
    await client.process(await photo());
    const resumed = new EventReader(client, { cursor: snapshot.cursor });
    const kinds = () => resumed.items.flatMap((item) => (item.type === 'event' ? [item.event.kind] : []));
    await until(() => kinds().includes('completed'), 'the missed events', LIMIT_MS);
    assert.deepEqual([resumed.types[0], kinds()[0]], ['resumed', 'queued']);
    await resumed.stop();
    const foreign = new EventReader(client, { cursor: 'nonsense' });
    await until(() => foreign.types.includes('snapshot'), 'the snapshot', LIMIT_MS);
    assert.deepEqual(foreign.types.slice(0, 2), ['gap', 'snapshot']);
    await foreign.stop();
  });

  test('a repeated submit with the same key is the same job', async (t) => {
    const { client } = await signedIn(t);
    const { id } = await client.uploadPhoto(await photo());
    const submits = Array.from({ length: 5 }, () => client.submit(id, { idempotencyKey: 'one' }));
    assert.equal(new Set((await Promise.all(submits)).map(({ job_id }) => job_id)).size, 1);
  });

  test('a quiet socket is kept: the server answers pings', async (t) => {
    const limits = { websocket: { firstMs: 10_000, quietMs: 200, answerMs: 1_000 } };
    const { client } = await signedIn(t, { limits });
    const reader = new EventReader(client);
    await until(() => reader.types.includes('snapshot'), 'the snapshot', LIMIT_MS);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    assert.deepEqual(
      reader.statuses.map(({ state }) => state),
      ['idle', 'connecting', 'open'],
    );
    await reader.stop();
  });

  test('logout ends the stream, for good', async (t) => {
    const { client } = await signedIn(t);
    const reader = new EventReader(client);
    await until(() => reader.types.includes('snapshot'), 'the snapshot', LIMIT_MS);
    await client.logout();
    await reader.ended;
    assert.ok(reader.error instanceof SignedOutError);
  });

  test('the example node/process-photo.mjs', async (t) => {
    const { server } = await signedIn(t);
    const picture = join(await folder(t), 'iris.jpg');
    const [IRISFLOW_EMAIL, IRISFLOW_PASSWORD] = ACCOUNT;
    const env = { IRISFLOW_URL: server.url, IRISFLOW_EMAIL, IRISFLOW_PASSWORD };
    const script = run(t, process.execPath, ['examples/node/process-photo.mjs', PHOTO, picture], env);
    assert.equal(await script.ended, 0, script.output());
    assert.deepEqual([...(await readFile(picture)).subarray(0, 2)], [0xff, 0xd8]);
  });

  test('the examples for curl', { skip: missing('curl', 'jq') }, async (t) => {
    const tokens = inMemoryTokens();
    const { server, client } = await signedIn(t, { tokens });
    const env = { IRISFLOW_URL: server.url, IRISFLOW_TOKEN: tokens.read()?.access_token ?? '' };
    const scripts = ['events', 'long-poll'].map((name) => run(t, 'sh', [`examples/curl/${name}.sh`], env));
    const all = (text: RegExp) => scripts.every(({ output }) => text.test(output()));
    await until(() => all(/"type":"snapshot"/), 'the snapshots', LIMIT_MS);
    await client.process(await photo());
    await until(() => all(/"kind":"completed"/), 'the ends', LIMIT_MS);
  });
});
