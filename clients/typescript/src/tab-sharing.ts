// One tab of a browser holds the connection and passes its frames on to the others: with server-sent events over
// HTTP/1.1 a browser has six connections for all tabs of a site.
//
// A Web Lock elects the tab. It is free again when the tab closes, and the next tab resumes at its own cursor.

import { delay } from './delay.ts';
import type { SnapshotFrame, TimelineFrame } from './frames.ts';

type Message<Status> =
  | { type: 'frame'; frame: TimelineFrame; to?: string }
  | { type: 'status'; status: Status }
  /** From a tab that has no state, or has missed something. */
  | { type: 'sync'; from: string };

export interface TabRole<Status> {
  /** Holds the connection until the signal aborts. */
  lead(signal: AbortSignal): void;
  /** A frame of the leading tab; whether it continued what was received before. */
  follow(frame: TimelineFrame): boolean;
  followStatus(status: Status): void;
  snapshot(): SnapshotFrame | null;
  status(): Status;
}

export interface TabGroup<Status> {
  broadcast(frame: TimelineFrame): void;
  broadcastStatus(status: Status): void;
}

/** A leading tab that does not answer within this time is frozen. */
const ANSWER_MS = 2_000;

export function joinTabs<Status>(
  name: string,
  locks: LockManager,
  wake: EventTarget,
  signal: AbortSignal,
  role: TabRole<Status>,
): TabGroup<Status> {
  const channel = new BroadcastChannel(name);
  const self = `${Math.random()}`;
  let leading: AbortController | null = null;
  let received = 0;

  const post = (message: Message<Status>) => {
    if (!signal.aborted) channel.postMessage(message);
  };
  const sync = () => post({ type: 'sync', from: self });

  channel.onmessage = ({ data }: { data: Message<Status> }) => {
    if (signal.aborted) return;
    if (leading) {
      const frame = data.type === 'sync' && role.snapshot();
      if (frame) post({ type: 'frame', frame, to: data.from });
      if (data.type === 'sync') post({ type: 'status', status: role.status() });
      return;
    }
    if (data.type === 'status') role.followStatus(data.status);
    if (data.type === 'frame' && (data.to ?? self) === self && !role.follow(data.frame)) sync();
    if (data.type !== 'sync') received += 1;
  };

  async function elect(steal: boolean): Promise<void> {
    const hold = () => {
      const term = (leading = new AbortController());
      role.lead(term.signal);
      return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    };
    try {
      await locks.request(name, steal ? { steal } : { signal }, hold);
    } catch {
      // Another tab has taken the lock, because this one was frozen; or this one was closed.
    }
    leading?.abort();
    leading = null;
    if (signal.aborted) return;
    sync();
    await elect(false);
  }

  const onWake = async () => {
    if (leading) return;
    const before = received;
    sync();
    await delay(ANSWER_MS, signal).catch(() => undefined);
    if (!signal.aborted && !leading && received === before) void elect(true);
  };
  wake.addEventListener('wake', onWake);
  signal.addEventListener('abort', () => {
    wake.removeEventListener('wake', onWake);
    leading?.abort();
    channel.close();
  });
  sync();
  void elect(false);

  return {
    broadcast: (frame) => leading && post({ type: 'frame', frame }),
    broadcastStatus: (status) => leading && post({ type: 'status', status }),
  };
}
