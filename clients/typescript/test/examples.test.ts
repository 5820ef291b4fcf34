// Every worked example, run: scripts as processes, pages in a document.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { compile } from 'svelte/compiler';
import type { IrisflowClient } from '../src/index.ts';
import { openPage } from './dom.ts';
import { FakeServer } from './fake-server.ts';
import { clientOf, until } from './live-client.ts';
import { folder, missing, run } from './script.ts';

/** A server that takes one photo and finishes its job at once. */
async function processingServer(t: TestContext): Promise<FakeServer> {
  const server = await FakeServer.start(t);
  const tokens = { access_token: 'token-1', refresh_token: 'refresh-1' };
  const slot = { upload_url: `${server.url}/storage`, photo_id: 'photo', max_bytes: 1e6 };
  server.routes.set('POST /api/v1/auth/login/json', () => ({ status: 200, body: tokens }));
  server.routes.set('POST /api/v1/photos', () => ({ status: 201, body: { id: 'photo' } }));
  server.routes.set('POST /api/v1/photos/upload', () => ({ status: 201, body: slot }));
  server.routes.set('PUT /storage', () => ({ status: 200 }));
  server.routes.set('POST /api/v1/photos/photo/confirm', () => ({ status: 200, body: { id: 'photo' } }));
  server.routes.set('GET /picture', () => ({ status: 200, body: 'the picture' }));
  server.routes.set('POST /api/v1/processing/submit', () => {
    server.emit('queued', 'a', { step: 'Preparing your image...' });
    setTimeout(() => server.emit('completed', 'a', { result_url: `${server.url}/picture`, step: 'Complete!' }), 50);
    return { status: 201, body: server.jobs.get('a') };
  });
  return server;
}

test('node/process-photo.mjs', async (t) => {
  const server = await processingServer(t);
  const path = await folder(t);
  await writeFile(join(path, 'eye.jpg'), 'a photo');
  const files = [join(path, 'eye.jpg'), join(path, 'iris.jpg')];
  const script = run(t, process.execPath, ['examples/node/process-photo.mjs', ...files], { IRISFLOW_URL: server.url });
  assert.equal(await script.ended, 0, script.output());
  assert.match(script.output(), /100 % Complete!/);
  assert.equal(await readFile(join(path, 'iris.jpg'), 'utf8'), '"the picture"');
});

test('node/follow-all.mjs prints what it missed, and nothing twice', async (t) => {
  const server = await FakeServer.start(t);
  const file = join(await folder(t), 'cursor.txt');
  const env = { IRISFLOW_URL: server.url, IRISFLOW_TOKEN: 'token-1' };
  const start = () => run(t, process.execPath, ['examples/node/follow-all.mjs', file], env);
  const first = start();
  await until(() => first.output().includes('snapshot 0 jobs'), 'the snapshot', 10_000);
  server.emit('queued', 'a');
  await until(() => first.output().includes('queued a 0 %'), 'the event');
  first.process.kill('SIGTERM');
  await first.ended;
  server.emit('completed', 'a');
  const second = start();
  await until(() => second.output().includes('completed a 100 %'), 'the missed event', 10_000);
  assert.doesNotMatch(second.output(), /queued|snapshot/);
});

test('curl/events.sh', { skip: missing('curl') }, async (t) => {
  const server = await FakeServer.start(t);
  server.emit('queued', 'a');
  server.emit('completed', 'a');
  const env = { IRISFLOW_URL: server.url, IRISFLOW_TOKEN: 'token-1' };
  const script = run(t, 'sh', ['examples/curl/events.sh', 'e1:1'], env);
  await until(() => /event: event\ndata: .*"kind":"completed"/.test(script.output()), 'the missed event');
});

test('curl/long-poll.sh', { skip: missing('curl', 'jq') }, async (t) => {
  const server = await FakeServer.start(t);
  server.emit('queued', 'a');
  const env = { IRISFLOW_URL: server.url, IRISFLOW_TOKEN: 'token-1' };
  const script = run(t, 'sh', ['examples/curl/long-poll.sh'], env);
  await until(() => /"type":"snapshot"/.test(script.output()), 'the snapshot');
  server.emit('completed', 'a');
  await until(() => /"kind":"completed"/.test(script.output()), 'the event');
});

test('browser/index.html', async (t) => {
  const server = await processingServer(t);
  const html = await readFile('examples/browser/index.html', 'utf8');
  const page = openPage(t, html.slice(html.indexOf('<form>'), html.lastIndexOf('<script')));
  await import(pathToFileURL('examples/browser/main.js').href);
  const form = page.querySelector('form') as HTMLFormElement;
  for (const [name, value] of Object.entries({ server: server.url, email: 'a@b.c', password: 'Clear-Iris-7' })) {
    (form.querySelector(`[name=${name}]`) as HTMLInputElement).value = value;
  }
  const photo = form.querySelector('[name=photo]') as HTMLInputElement;
  Object.defineProperty(photo, 'files', { value: [new File(['x'], 'eye.jpg', { type: 'image/jpeg' })] });
  form.dispatchEvent(new Event('submit', { cancelable: true }));
  const picture = page.querySelector('img') as HTMLImageElement;
  await until(() => !picture.hidden, 'the picture');
  assert.equal(picture.src, `${server.url}/picture`);
  assert.equal(page.querySelector('[role=status]')?.textContent, 'Complete!');
});

test('react/App.tsx', async (t) => {
  const server = await FakeServer.start(t);
  server.emit('progress', 'a', { progress: 40, step: 'Finding your iris...' });
  const page = openPage(t, '<main></main>');
  const { createElement, StrictMode } = await import('react');
  const { createRoot } = await import('react-dom/client');
  const { Job, Jobs } = await import('../examples/react/App.tsx');
  const root = createRoot(page.querySelector('main') as HTMLElement);
  const client = clientOf(server) as never;
  root.render(
    createElement(StrictMode, null, createElement(Jobs, { client }), createElement(Job, { client, id: 'a' })),
  );
  await until(() => page.querySelector('li')?.textContent === 'processing 40 %', 'the list');
  await until(() => page.querySelector('progress')?.getAttribute('aria-label') === 'Finding your iris...', 'the job');
  server.emit('completed', 'a', { result_url: 'https://pictures.example/1' });
  await until(() => page.querySelector('img')?.src === 'https://pictures.example/1', 'the picture');
  await until(() => page.querySelector('li')?.textContent === 'completed 100 %', 'the change');
  assert.equal(server.hellos.length, 1);
  root.unmount();
  await until(() => server.connections.size === 0, 'the end of the connection');
});

test('svelte/Job.svelte', async (t) => {
  const server = await FakeServer.start(t);
  server.emit('progress', 'a', { progress: 40 });
  const page = openPage(t, '<main></main>');
  const { mountJob } = await bundledSvelteExample(await folder(t));
  const unmount = mountJob(page.querySelector('main') as HTMLElement, clientOf(server), 'a');
  await until(() => page.querySelector('progress')?.value === 40, 'the job');
  server.emit('completed', 'a', { result_url: 'https://pictures.example/1' });
  await until(() => page.querySelector('img')?.src === 'https://pictures.example/1', 'the picture');
  unmount();
  await until(() => server.connections.size === 0, 'the end of the connection');
});

type MountJob = (target: HTMLElement, client: IrisflowClient, id: string) => () => void;

/** The component as a bundler ships it to browsers. */
async function bundledSvelteExample(path: string): Promise<{ mountJob: MountJob }> {
  const contents = `
    import { mount, unmount } from 'svelte';
    import Job from './examples/svelte/Job.svelte';
    export function mountJob(target, client, id) {
      const job = mount(Job, { target, props: { client, id } });
      return () => unmount(job);
    }`;
  const svelte: Plugin = {
    name: 'svelte',
    setup(building) {
      building.onLoad({ filter: /\.svelte$/ }, async ({ path: file }) => ({
        contents: compile(await readFile(file, 'utf8'), { filename: file, generate: 'client' }).js.code,
      }));
    },
  };
  const outfile = join(path, 'job.mjs');
  await build({
    stdin: { contents, resolveDir: process.cwd() },
    bundle: true,
    format: 'esm',
    conditions: ['browser'],
    plugins: [svelte],
    outfile,
    logLevel: 'error',
  });
  return (await import(pathToFileURL(outfile).href)) as { mountJob: MountJob };
}
