// The vocabulary of the tests against `FakeServer`: a client with short limits, and readers of its streams.

import WebSocket from 'ws';
import { IrisflowClient, type ClientOptions, type ConnectionStatus, type EventItem } from '../src/index.ts';
import type { EventsOptions } from '../src/events.ts';
import type { FakeServer } from './fake-server.ts';

export const SHORT_LIMITS = {
  websocket: { firstMs: 1_000, quietMs: 200, answerMs: 1_000 },
  sse: { firstMs: 1_000, quietMs: 200, answerMs: 1_000 },
  longPoll: { firstMs: 3000, quietMs: 0, answerMs: 3000 },
  waitMs: 1000,
  probeMs: 60_000,
};

export function clientOf(server: FakeServer, options: ClientOptions = {}): IrisflowClient {
  return new IrisflowClient({
    baseUrl: server.url,
    bearer: () => 'token-1',
    WebSocket,
    // Without jitter, delays are short: the policy's own tests look at it.
    random: () => 0.02,
    limits: SHORT_LIMITS,
    ...options,
  });
}

/** Collects what `client.events` yields, in the background. */
export class EventReader {
  readonly items: EventItem[] = [];
  readonly statuses: ConnectionStatus[] = [];
  error: unknown = null;
  readonly #abort = new AbortController();
  readonly ended: Promise<void>;

  constructor(client: IrisflowClient, options: EventsOptions = {}) {
    this.ended = this.#read(client, options);
  }

  async #read(client: IrisflowClient, options: EventsOptions): Promise<void> {
    const onConnection = (status: ConnectionStatus) => this.statuses.push(status);
    try {
      for await (const item of client.events({ ...options, onConnection, signal: this.#abort.signal })) {
        this.items.push(item);
      }
    } catch (error) {
      this.error = error;
    }
  }

  get seqs(): number[] {
    return this.items.flatMap((item) => (item.type === 'event' ? [item.event.seq] : []));
  }

  get types(): string[] {
    return this.items.map(({ type }) => type);
  }

  get status(): ConnectionStatus | undefined {
    return this.statuses.at(-1);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.ended;
  }
}

/** Waits until a condition holds. */
export async function until(condition: () => boolean, what: string, limitMs = 15_000): Promise<void> {
  const begun = Date.now();
  while (!condition()) {
    if (Date.now() - begun > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
