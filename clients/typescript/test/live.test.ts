// The live part against real sockets: servers that cut, stall, refuse, restart, and proxies that strip and buffer.
// The groups are named after ways in which live progress fails in practice.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ApiError, SignedOutError, type ClientOptions, type JobState, type Transport } from '../src/index.ts';
import { FakeServer } from './fake-server.ts';
import { clientOf, EventReader, SHORT_LIMITS, until } from './live-client.ts';

const OVER: Record<Transport, Transport[]> = {
  websocket: ['websocket'],
  sse: ['sse'],
  'long-poll': ['long-poll'],
};
const EACH = Object.keys(OVER) as Transport[];

function over(server: FakeServer, transport: Transport, options: ClientOptions = {}) {
  return clientOf(server, { transports: OVER[transport], ...options });
}

async function statesOf(states: AsyncIterable<JobState>): Promise<JobState[]> {
  const seen: JobState[] = [];
  for await (const state of states) seen.push(state);
  return seen;
}

for (const transport of EACH) {
  describe(`over ${transport}`, () => {
    test('the end between snapshot and subscription is not missed: jobs that end at once', async (t) => {
      const server = await FakeServer.start(t);
      const client = over(server, transport);
      const watches = Array.from({ length: 200 }, async (_, index) => {
        const id = `job-${index}`;
        server.emit('queued', id);
        const watch = statesOf(client.watchJob(id));
        // Some end before the connection, some before the read, some later.
        if (index % 3 === 0) server.emit('completed', id);
        else setTimeout(() => server.emit('completed', id), index % 17);
        return (await watch).at(-1)?.status;
      });
      const ends = await Promise.all(watches);
      assert.ok(ends.every((end) => end === 'completed'));
    });

    test('finished while disconnected: cut at every event boundary, each event arrives once and in order', async (t) => {
      const server = await FakeServer.start(t);
      const reader = new EventReader(over(server, transport));
      await until(() => reader.types.includes('snapshot'), 'the snapshot');
      for (let seq = 1; seq <= 20; seq += 1) {
        server.emit(seq % 4 === 0 ? 'completed' : 'progress', `job-${Math.ceil(seq / 4)}`, { progress: seq });
        server.cutAll();
      }
      await until(() => reader.seqs.length >= 20, 'all events');
      await reader.stop();
      assert.deepEqual(
        reader.seqs,
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
    });

    test('a stored cursor resumes after a restart of the program', async (t) => {
      const server = await FakeServer.start(t);
      for (let seq = 1; seq <= 5; seq += 1) server.emit('progress', 'a', { progress: seq });
      const reader = new EventReader(over(server, transport), { cursor: 'e1:3' });
      await until(() => reader.seqs.length === 2, 'the missed events');
      server.emit('completed', 'a');
      await until(() => reader.seqs.length === 3, 'the next event');
      await reader.stop();
      assert.deepEqual(reader.seqs, [4, 5, 6]);
    });

    test('pruned, restored or foreign cursors: a gap, then a snapshot', async (t) => {
      const server = await FakeServer.start(t);
      server.emit('queued', 'a');
      server.emit('progress', 'a');
      server.floor = 2;
      for (const cursor of ['e1:1', 'e0:1', 'e1:99', 'nonsense']) {
        const reader = new EventReader(over(server, transport), { cursor });
        await until(() => reader.types.includes('snapshot'), cursor);
        await reader.stop();
        assert.deepEqual(reader.types, ['gap', 'snapshot'], cursor);
      }
    });

    test('a filter limits the events', async (t) => {
      const server = await FakeServer.start(t);
      const reader = new EventReader(over(server, transport), { filter: { job_ids: ['b'] } });
      await until(() => reader.types.includes('snapshot'), 'the snapshot');
      if (transport === 'long-poll') await until(() => server.count('/api/v1/events') > 1, 'the second poll');
      server.emit('queued', 'a');
      server.emit('queued', 'b');
      await until(() => reader.seqs.length === 1, 'the event of b');
      await reader.stop();
      assert.deepEqual(reader.seqs, [2]);
    });

    test('reconnecting for ever after the end: a finished watch closes its connection and asks no more', async (t) => {
      const server = await FakeServer.start(t);
      server.emit('queued', 'a');
      const watch = statesOf(over(server, transport).watchJob('a'));
      setTimeout(() => server.emit('completed', 'a'), 50);
      assert.equal((await watch).at(-1)?.status, 'completed');
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(server.connections.size, 0);
      const requests = server.requests.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(server.requests.length, requests);
    });

    test('an expired token is renewed, and the stream goes on', async (t) => {
      const server = await FakeServer.start(t);
      server.validTokens = new Set(['token-2']);
      const rejected: (string | undefined)[] = [];
      const bearer = (token?: string) => {
        rejected.push(token);
        return token === 'token-1' || rejected.includes('token-1') ? 'token-2' : 'token-1';
      };
      const reader = new EventReader(over(server, transport, { bearer }));
      await until(() => reader.types.includes('snapshot'), 'the snapshot');
      await reader.stop();
      assert.deepEqual(
        rejected.filter((token) => token !== undefined),
        ['token-1'],
      );
    });

    test('tokens in URLs: there are none', async (t) => {
      const server = await FakeServer.start(t);
      const reader = new EventReader(over(server, transport));
      await until(() => reader.types.includes('snapshot'), 'the snapshot');
      await reader.stop();
      assert.ok(server.requests.every(({ url }) => !url.includes('token-1')));
    });

    test('aborting ends the stream at once and closes the connection', async (t) => {
      const server = await FakeServer.start(t);
      const reader = new EventReader(over(server, transport));
      await until(() => reader.types.includes('snapshot'), 'the snapshot');
      await reader.stop();
      assert.equal((reader.error as Error).name, 'AbortError');
      await until(() => server.connections.size === 0, 'the end of the connection');
    });
  });
}

describe('events lost on the way', () => {
  test('a prev that is not the cursor: the client resumes and misses nothing', async (t) => {
    const server = await FakeServer.start(t);
    const reader = new EventReader(clientOf(server));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    // The server swallows one event for this connection.
    for (const connection of server.connections) connection.prev = 'e1:1';
    server.events.push({ ...server.emit('queued', 'a') });
    server.events.pop();
    server.emit('completed', 'a');
    await until(() => reader.seqs.length === 2, 'both events');
    await reader.stop();
    assert.deepEqual(reader.seqs, [1, 2]);
    assert.equal(server.hellos.at(-1)?.cursor, 'e1:0');
  });

  test('swallowed, doubled and reordered at random: the watcher converges to the truth', async (t) => {
    const server = await FakeServer.start(t);
    const reader = new EventReader(clientOf(server));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    let state = 7;
    const random = () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
    for (let round = 0; round < 200; round += 1) {
      server.emit('progress', `job-${round % 5}`, { progress: Math.floor(round / 2) });
      for (const connection of server.connections) {
        if (random() < 0.1) connection.prev = `e1:${Math.floor(random() * round)}`;
        if (random() < 0.1) connection.send({ type: 'event', cursor: 'e1:1', prev: 'e1:0', event: server.events[0] });
      }
      if (round % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await until(() => reader.seqs.at(-1) === 200, 'the last event', 20_000);
    await reader.stop();
    assert.deepEqual(
      reader.seqs,
      Array.from({ length: 200 }, (_, index) => index + 1),
    );
  });

  test('a client that was too slow (4408) resumes at its cursor', async (t) => {
    const server = await FakeServer.start(t);
    const reader = new EventReader(clientOf(server));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    server.closeAll(4408);
    server.emit('queued', 'a');
    await until(() => reader.seqs.length === 1, 'the event');
    await reader.stop();
    assert.equal(server.hellos.at(-1)?.cursor, 'e1:0');
  });

  test('a reader slower than its events: bounded memory, an overflow, and the present state', async (t) => {
    const server = await FakeServer.start(t);
    const events = clientOf(server).events();
    assert.equal((await events.next()).value.type, 'snapshot');
    for (let progress = 0; progress < 1_500; progress += 1) server.emit('progress', 'a', { progress });
    server.emit('completed', 'a');
    await new Promise((resolve) => setTimeout(resolve, 200));
    let { value } = await events.next();
    while (value.type === 'event') ({ value } = await events.next());
    assert.equal(value.type, 'overflow');
    ({ value } = await events.next());
    assert.ok(value.type === 'snapshot' && value.jobs[0]?.status === 'completed');
    server.emit('queued', 'b');
    assert.equal((await events.next()).value.type, 'event');
    await events.return(undefined as never);
  });

  test('a slow reader with a cursor loses nothing: what was dropped is asked for again', async (t) => {
    const server = await FakeServer.start(t);
    const seqs: number[] = [];
    for await (const item of clientOf(server).events({ cursor: 'e1:0' })) {
      if (server.events.length === 0) {
        for (let progress = 1; progress <= 2_500; progress += 1) server.emit('progress', 'a', { progress });
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      if (item.type === 'event') seqs.push(item.event.seq);
      if (seqs.length === 2_500) break;
    }
    assert.deepEqual(
      seqs,
      Array.from({ length: 2_500 }, (_, index) => index + 1),
    );
  });
});

describe('proxies', () => {
  test('that strip the upgrade: server-sent events instead, with a visible reason', async (t) => {
    const server = await FakeServer.start(t);
    server.stripsUpgrades = true;
    const reader = new EventReader(clientOf(server));
    await until(() => reader.status?.state === 'open', 'a connection');
    assert.equal(reader.status?.transport, 'sse');
    assert.match(reader.status?.reason ?? '', /^websocket: closed with code 1006/);
    await reader.stop();
  });

  test('that pass upgrades again later: back to the WebSocket, without a missed event', async (t) => {
    const server = await FakeServer.start(t);
    server.stripsUpgrades = true;
    const reader = new EventReader(clientOf(server, { limits: { ...SHORT_LIMITS, probeMs: 100 } }));
    await until(() => reader.status?.state === 'open', 'a connection');
    server.stripsUpgrades = false;
    const emitting = setInterval(() => server.emit('progress', 'a', { progress: server.events.length }), 5);
    await until(() => reader.status?.transport === 'websocket' && reader.status.state === 'open', 'the WebSocket');
    clearInterval(emitting);
    await until(() => reader.seqs.at(-1) === server.events.length, 'the last event');
    await reader.stop();
    assert.equal(reader.status?.reason, null);
    const snapshot = reader.items[0];
    assert.ok(snapshot?.type === 'snapshot');
    assert.equal(reader.seqs.length, server.events.length - Number(snapshot.cursor.split(':')[1]));
  });

  test('that buffer answers: long polling instead, with a visible reason', async (t) => {
    const server = await FakeServer.start(t);
    server.stripsUpgrades = true;
    server.buffers = true;
    const reader = new EventReader(clientOf(server));
    await until(() => reader.status?.state === 'open', 'a connection');
    assert.equal(reader.status?.transport, 'long-poll');
    assert.match(reader.status?.reason ?? '', /^sse: the server is silent, or a proxy holds its messages back/);
    server.emit('queued', 'a');
    await until(() => reader.seqs.length === 1, 'the event');
    await reader.stop();
  });

  test('that cut idle connections: the stream resumes', async (t) => {
    const server = await FakeServer.start(t);
    const reader = new EventReader(clientOf(server));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    server.cutAll();
    server.emit('queued', 'a');
    await until(() => reader.seqs.length === 1, 'the event');
    await reader.stop();
    assert.deepEqual(reader.types, ['snapshot', 'resumed', 'event']);
  });

  test('a peer that is gone without a close frame is found by its silence, and a quiet one is kept', async (t) => {
    const server = await FakeServer.start(t);
    const reader = new EventReader(clientOf(server));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    // Twice as long as the limits: the pings are answered.
    await new Promise((resolve) => setTimeout(resolve, 800));
    assert.equal(server.hellos.length, 1);
    assert.ok(server.clientFrames.some(({ type }) => type === 'ping'));
    server.isDead = true;
    await until(() => reader.status?.state !== 'open', 'the loss');
    assert.match(reader.status?.reason ?? '', /silent/);
    server.isDead = false;
    await until(() => server.hellos.length > 1, 'the next connection');
    await reader.stop();
  });

  test('a dead event stream is found by its missing pings', async (t) => {
    const server = await FakeServer.start(t);
    const reader = new EventReader(over(server, 'sse'));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(reader.status?.state, 'open');
    server.isDead = true;
    await until(() => reader.status?.state !== 'open', 'the loss');
    await reader.stop();
  });

  test('a runtime without WebSocket says so', async (t) => {
    const server = await FakeServer.start(t);
    const reader = new EventReader(clientOf(server, { WebSocket: undefined as never }));
    await until(() => reader.status?.state === 'open', 'a connection');
    const builtIn = 'WebSocket' in globalThis;
    assert.equal(reader.status?.transport, builtIn ? 'websocket' : 'sse');
    assert.equal(reader.status?.reason, builtIn ? null : 'websocket: this runtime has none');
    await reader.stop();
  });

  test('that answer themselves, as those of hotels: the stream begins once they let it through', async (t) => {
    const server = await FakeServer.start(t);
    server.stripsUpgrades = true;
    server.routes.set('GET /api/v1/events', () => ({ status: 200, headers: { 'content-type': 'text/html' } }));
    const reader = new EventReader(clientOf(server));
    await until(() => reader.statuses.filter(({ state }) => state === 'waiting').length > 6, 'some attempts');
    server.routes.clear();
    await until(() => reader.status?.state === 'open', 'a connection');
    await reader.stop();
  });

  test('a server without event streams: long polling', async (t) => {
    const server = await FakeServer.start(t);
    server.hasSse = false;
    const reader = new EventReader(clientOf(server, { transports: ['sse', 'long-poll'] }));
    await until(() => reader.status?.state === 'open', 'a connection');
    assert.equal(reader.status?.transport, 'long-poll');
    await reader.stop();
  });
});

describe('restarts', () => {
  test('a closing frame: back after the time that the server asks for, and nothing is missed', async (t) => {
    const server = await FakeServer.start(t);
    const reader = new EventReader(clientOf(server));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    const begun = Date.now();
    server.sendAll({ type: 'closing', reason: 'shutdown', reconnect_in_ms: 150 });
    server.closeAll(1012);
    server.emit('queued', 'a');
    await until(() => reader.seqs.length === 1, 'the event');
    await reader.stop();
    assert.ok(Date.now() - begun >= 145);
    assert.ok(reader.statuses.some(({ state, retryInMs }) => state === 'waiting' && retryInMs === 150));
  });

  test('a server that is away for a while: the stream resumes', async (t) => {
    const server = await FakeServer.start(t);
    const { port } = server;
    const reader = new EventReader(clientOf(server));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    await server.stop();
    await until(() => reader.statuses.filter(({ state }) => state === 'waiting').length > 5, 'some attempts');
    await server.listen(port);
    server.emit('queued', 'a');
    await until(() => reader.seqs.length === 1, 'the event');
    await reader.stop();
    assert.deepEqual(
      reader.types.filter((type) => type !== 'resumed'),
      ['snapshot', 'event'],
    );
  });
});

describe('refusals', () => {
  test('the reason of a refused socket reaches the caller, and there is no second attempt', async (t) => {
    const server = await FakeServer.start(t);
    const frame = { type: 'error', error: 'Forbidden', detail: 'User account is inactive', code: 'account_inactive' };
    server.refusal = { frame, closeCode: 1008 };
    const reader = new EventReader(clientOf(server));
    await reader.ended;
    assert.ok(reader.error instanceof ApiError);
    assert.deepEqual([reader.error.code, reader.error.message], ['account_inactive', 'User account is inactive']);
    assert.deepEqual([reader.status?.state, reader.status?.reason], ['stopped', 'User account is inactive']);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(server.hellos.length, 1);
  });

  test('too many connections: later', async (t) => {
    const server = await FakeServer.start(t);
    const frame = { type: 'error', error: 'Busy', detail: 'Too many', code: 'too_many_connections', retry_in_ms: 100 };
    server.refusal = { frame, closeCode: 1013 };
    const reader = new EventReader(clientOf(server));
    await until(() => reader.status?.state === 'waiting', 'the wait');
    assert.equal(reader.status?.reason, 'Too many');
    assert.ok((reader.status?.retryInMs ?? 0) >= 100);
    server.refusal = null;
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    await reader.stop();
  });

  test('over HTTP: 403 stops, 503 waits as long as it says', async (t) => {
    const server = await FakeServer.start(t);
    let answer: { status: number; body: object; headers?: Record<string, string> } = {
      status: 503,
      body: { detail: 'Busy', code: 'busy' },
      headers: { 'retry-after': '1' },
    };
    server.routes.set('GET /api/v1/events', () => answer);
    const reader = new EventReader(over(server, 'sse'));
    await until(() => reader.status?.state === 'waiting', 'the wait');
    assert.ok((reader.status?.retryInMs ?? 0) >= 1000);
    answer = { status: 403, body: { detail: 'No consent', code: 'consent_required' } };
    await reader.ended;
    assert.equal((reader.error as ApiError).code, 'consent_required');
  });

  test('a session that is over stops the stream', async (t) => {
    const server = await FakeServer.start(t);
    const bearer = () => {
      throw new SignedOutError('over');
    };
    const reader = new EventReader(clientOf(server, { bearer }));
    await reader.ended;
    assert.ok(reader.error instanceof SignedOutError);
    assert.equal(server.requests.length, 0);
  });
});

test('a socket outlives its token: renewed in place, without another connection', async (t) => {
  const server = await FakeServer.start(t);
  const reader = new EventReader(clientOf(server, { bearer: (rejected) => (rejected ? 'token-2' : 'token-1') }));
  await until(() => reader.types.includes('snapshot'), 'the snapshot');
  server.sendAll({ type: 'token_expiring', expires_in_ms: 60_000 });
  await until(() => server.clientFrames.some(({ type }) => type === 'token'), 'the token');
  assert.deepEqual(server.clientFrames.at(-1), { type: 'token', token: 'token-2' });
  assert.equal(server.hellos.length, 1);
  await reader.stop();
});

describe('a suspended phone', () => {
  test('coming back to the foreground ends a wait at once', async (t) => {
    const server = await FakeServer.start(t);
    const wake = new EventTarget();
    const reader = new EventReader(clientOf(server, { wake }));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    server.sendAll({ type: 'closing', reason: 'shutdown', reconnect_in_ms: 60_000 });
    await until(() => reader.status?.state === 'waiting', 'the wait');
    wake.dispatchEvent(new Event('wake'));
    await until(() => reader.types.includes('resumed'), 'the resumption', 500);
    assert.deepEqual(reader.types, ['snapshot', 'resumed']);
    await reader.stop();
  });

  test('after a long sleep the old socket is given up and one round trip resumes', async (t) => {
    const server = await FakeServer.start(t);
    const wake = new EventTarget();
    const limits = { ...SHORT_LIMITS, websocket: { firstMs: 500, quietMs: 60_000, answerMs: 60_000 } };
    const reader = new EventReader(clientOf(server, { wake, limits }));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    server.emit('queued', 'a');
    await until(() => reader.seqs.length === 1, 'the event');
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_600_000 });
    wake.dispatchEvent(new Event('wake'));
    t.mock.timers.reset();
    await until(() => reader.types.includes('resumed'), 'the resumption', 1_000);
    assert.equal(server.hellos.at(-1)?.cursor, 'e1:1');
    await reader.stop();
  });
});

describe('the six-connection limit', () => {
  test('all watchers of a client share one connection', async (t) => {
    const server = await FakeServer.start(t);
    const client = over(server, 'sse');
    for (let index = 0; index < 8; index += 1) server.emit('queued', `job-${index}`);
    const reader = new EventReader(client);
    const watches = Array.from({ length: 8 }, (_, index) => statesOf(client.watchJob(`job-${index}`)));
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    for (let index = 0; index < 8; index += 1) server.emit('completed', `job-${index}`);
    const ends = (await Promise.all(watches)).map((states) => states.at(-1)?.status);
    assert.deepEqual(ends, Array(8).fill('completed'));
    assert.equal(server.count('/api/v1/events'), 1);
    await reader.stop();
  });

  test('a reader that joins later begins with the present state, without another request', async (t) => {
    const server = await FakeServer.start(t);
    const client = clientOf(server);
    const first = new EventReader(client);
    await until(() => first.types.includes('snapshot'), 'the snapshot');
    server.emit('progress', 'a', { progress: 40 });
    await until(() => first.seqs.length === 1, 'the event');
    const second = new EventReader(client);
    await until(() => second.types.includes('snapshot'), 'the state');
    const [item] = second.items;
    assert.ok(item?.type === 'snapshot' && item.jobs[0]?.progress === 40 && item.cursor === 'e1:1');
    assert.equal(server.hellos.length, 1);
    await Promise.all([first.stop(), second.stop()]);
  });
});

describe('watching a job', () => {
  test('expired links: a job that has ended before is read anew', async (t) => {
    const server = await FakeServer.start(t);
    const client = clientOf(server);
    const reader = new EventReader(client);
    await until(() => reader.types.includes('snapshot'), 'the snapshot');
    server.emit('completed', 'a', { result_url: 'old' });
    await until(() => reader.seqs.length === 1, 'the event');
    server.jobs.set('a', { ...(server.jobs.get('a') as JobState), result_url: 'fresh' });
    const states = await statesOf(client.watchJob('a'));
    assert.deepEqual(
      states.map(({ result_url }) => result_url),
      ['fresh'],
    );
    await reader.stop();
  });

  test('progress never goes back', async (t) => {
    const server = await FakeServer.start(t);
    server.emit('progress', 'a', { progress: 50 });
    const watch = statesOf(clientOf(server).watchJob('a'));
    await until(() => server.connections.size === 1, 'the connection');
    server.emit('progress', 'a', { progress: 20 });
    server.emit('progress', 'a', { progress: 60 });
    server.emit('completed', 'a');
    const seen = (await watch).map(({ progress }) => progress);
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
    );
  });

  test('a job that is deleted meanwhile ends the watch with an error', async (t) => {
    const server = await FakeServer.start(t);
    server.emit('queued', 'a');
    const watch = statesOf(clientOf(server).watchJob('a'));
    await until(() => server.connections.size === 1, 'the connection');
    server.emit('deleted', 'a');
    await assert.rejects(watch, { code: 'job_not_found', status: 404 });
  });

  test('an unknown job is an error', async (t) => {
    const server = await FakeServer.start(t);
    await assert.rejects(statesOf(clientOf(server).watchJob('nothing')), { status: 404 });
  });

  test('a job that left the snapshot during a gap is read', async (t) => {
    const server = await FakeServer.start(t);
    server.emit('queued', 'a');
    const watch = statesOf(clientOf(server).watchJob('a'));
    await until(() => server.connections.size === 1, 'the connection');
    server.cutAll();
    const ended = { ...(server.jobs.get('a') as JobState), status: 'completed' };
    server.epoch = 'e2';
    server.jobs.delete('a');
    server.routes.set('GET /api/v1/processing/jobs/a', () => ({ status: 200, body: ended }));
    assert.equal((await watch).at(-1)?.status, 'completed');
  });
});

test('the list of jobs: newest first, again after each change', async (t) => {
  const server = await FakeServer.start(t);
  server.emit('queued', 'a');
  server.emit('queued', 'b');
  const lists = clientOf(server).watchJobs();
  const first = (await lists.next()).value;
  assert.deepEqual(
    first.map(({ job_id }) => job_id),
    ['b', 'a'],
  );
  server.emit('completed', 'a');
  const second = (await lists.next()).value;
  assert.deepEqual(
    second.map(({ status }) => status),
    ['completed', 'pending'],
  );
  await lists.return(undefined as never);
});
