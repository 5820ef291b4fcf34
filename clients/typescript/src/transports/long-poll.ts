// `GET /api/v1/events` as a series of requests that the server holds until there is something to tell. Passes
// every proxy.

import type { End } from '../connection-policy.ts';
import { delay } from '../delay.ts';
import type { ServerFrame } from '../frames.ts';
import { ABORTED, requestEvents, withLivenessMonitor, type Connect, type Link } from './link.ts';

interface Answer {
  cursor: string;
  frames: ServerFrame[];
}

/** A server that does not hold requests is not asked more often than this. */
const MIN_INTERVAL_MS = 500;

export const connectLongPoll: Connect = (link) =>
  withLivenessMonitor(link, link.limits.longPoll, 'no answer in time', async (signal, touch) => {
    // The first request is answered at once, to see whether the transport works.
    for (let waitMs = 0; ; waitMs = link.limits.waitMs) {
      const begun = Date.now();
      const answer = await poll(link, waitMs, signal);
      if (!('frames' in answer)) return answer;
      touch();
      link.alive();
      for (const frame of answer.frames) {
        const end = link.receive(frame);
        if (end) return end;
      }
      if (answer.frames.length > 0 || waitMs === 0) continue;
      await delay(begun + MIN_INTERVAL_MS - Date.now(), signal).catch(() => undefined);
    }
  });

async function poll(link: Link, waitMs: number, signal: AbortSignal): Promise<Answer | End> {
  const wait = String(Math.floor(waitMs / 1000));
  const response = await requestEvents(link, 'application/json', { wait }, signal);
  if (!(response instanceof Response)) return response;
  try {
    return (await response.json()) as Answer;
  } catch {
    return signal.aborted ? ABORTED : { kind: 'lost', reason: 'the answer broke off' };
  }
}
