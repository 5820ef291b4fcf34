// `GET /api/v1/events` as server-sent events. Read with `fetch`, because `EventSource` can send no bearer token.

import type { End } from '../connection-policy.ts';
import { parseFrame } from '../frames.ts';
import { ABORTED, requestEvents, withLivenessMonitor, type Connect, type Link } from './link.ts';

const DEAD_REASON = 'the server is silent, or a proxy holds its messages back';

export const connectSse: Connect = (link) =>
  withLivenessMonitor(link, link.limits.sse, DEAD_REASON, async (signal, touch) => {
    const response = await requestEvents(link, 'text/event-stream', {}, signal);
    return response instanceof Response ? readStream(link, response, touch) : response;
  });

async function readStream(link: Link, response: Response, touch: () => void): Promise<End> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  try {
    for (;;) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      if (!value || done) return { kind: 'lost', reason: 'the stream ended' };
      touch();
      for (const data of parser.push(decoder.decode(value, { stream: true }))) {
        const frame = parseFrame(data);
        const end = frame && link.receive(frame);
        if (end) return end;
      }
    }
  } catch {
    return link.signal.aborted ? ABORTED : { kind: 'lost', reason: 'the stream broke off' };
  }
}

/** Splits a stream into messages; yields their data. Event names and ids are also in the data. */
export class SseParser {
  #rest = '';
  #data: string[] = [];

  *push(text: string): Generator<string> {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('data:')) this.#data.push(line.slice(5).replace(/^ /, ''));
      if (line !== '' || this.#data.length === 0) continue;
      yield this.#data.join('\n');
      this.#data = [];
    }
  }
}
