// Tabs of one browser: each is a client here; the channel between them is real, and the locks are played.

import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { ClientOptions } from '../src/index.ts';
import { FakeServer } from './fake-server.ts';
import { clientOf, EventReader, until } from './live-client.ts';

/** Exclusive locks as browsers have them. */
class PlayedLocks {
  readonly #waiting: (() => void)[] = [];
  #loseLock: ((error: Error) => void) | null = null;

  async request(_name: string, { steal, signal }: LockOptions, hold: () => Promise<void>): Promise<void> {
    if (steal) this.#loseLock?.(new DOMException('stolen', 'AbortError'));
    else if (this.#loseLock) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    signal?.throwIfAborted();
    const lost = new Promise<never>((_, reject) => (this.#loseLock = reject));
    const mine = this.#loseLock;
    try {
      await Promise.race([hold(), lost]);
    } finally {
      if (this.#loseLock === mine) {
        this.#loseLock = null;
        this.#waiting.shift()?.();
      }
    }
  }
}

let names = 0;

async function browser(t: TestContext) {
  const server = await FakeServer.start(t);
  server.emit('queued', 'a');
  const locks = new PlayedLocks() as unknown as LockManager;
  const shareTabs = `account-${(names += 1)}`;
  const openTab = (options: ClientOptions = {}) =>
    new EventReader(clientOf(server, { locks, shareTabs, transports: ['sse'], ...options }));
  const first = openTab();
  await until(() => first.types.includes('snapshot'), 'the snapshot of the first tab');
  return { server, first, openTab };
}

describe('the six-connection limit: tabs', () => {
  test('eight tabs have one connection, and all see every event', async (t) => {
    const { server, first, openTab } = await browser(t);
    const tabs = [first, ...Array.from({ length: 7 }, () => openTab())];
    await until(() => tabs.every(({ types }) => types.includes('snapshot')), 'the state in all tabs');
    for (let progress = 1; progress <= 20; progress += 1) server.emit('progress', 'a', { progress });
    await until(() => tabs.every(({ seqs }) => seqs.at(-1) === 21), 'the events in all tabs');
    assert.equal(server.count('/api/v1/events'), 1);
    for (const tab of tabs) assert.equal(tab.seqs.length, 20);
    assert.ok(tabs.every(({ status }) => status?.state === 'open'));
    await Promise.all(tabs.map((tab) => tab.stop()));
  });

  test('when the tab with the connection closes, another resumes where it was', async (t) => {
    const { server, first, openTab } = await browser(t);
    const second = openTab();
    await until(() => second.types.includes('snapshot'), 'the state in the second tab');
    await first.stop();
    // While the connection changes hands: it comes over the old one or the new one, and once.
    server.emit('progress', 'a', { progress: 50 });
    await until(() => second.types.includes('resumed'), 'the connection of the second tab');
    server.emit('completed', 'a');
    await until(() => second.seqs.at(-1) === 3, 'the last event');
    assert.deepEqual(second.seqs, [2, 3]);
    assert.equal(second.types.filter((type) => type === 'snapshot').length, 1);
    assert.equal(server.count('/api/v1/events'), 2);
    await second.stop();
  });

  test('a frozen tab loses the connection to one that comes to the foreground', async (t) => {
    const { server, first, openTab } = await browser(t);
    const wake = new EventTarget();
    const second = openTab({ wake });
    await until(() => second.types.includes('snapshot'), 'the state in the second tab');
    // The first tab is frozen: neither frames nor answers come from it.
    const post = BroadcastChannel.prototype.postMessage;
    t.after(() => (BroadcastChannel.prototype.postMessage = post));
    BroadcastChannel.prototype.postMessage = function (message) {
      if ((message as { type: string }).type === 'sync') return;
      return post.call(this, message);
    };
    wake.dispatchEvent(new Event('wake'));
    await until(() => second.types.includes('resumed'), 'the connection of the second tab', 5_000);
    BroadcastChannel.prototype.postMessage = post;
    server.emit('completed', 'a');
    await until(() => first.seqs.length === 1 && second.seqs.length === 1, 'the event in both tabs');
    await until(() => server.connections.size === 1, 'the end of the first connection');
    await Promise.all([first.stop(), second.stop()]);
  });

  test('without locks each tab has its own connection', async (t) => {
    const { server, first, openTab } = await browser(t);
    const second = openTab({ locks: null });
    await until(() => second.types.includes('snapshot'), 'the snapshot');
    assert.equal(server.count('/api/v1/events'), 2);
    await Promise.all([first.stop(), second.stop()]);
  });
});
