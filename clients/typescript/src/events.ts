// Every change of the jobs of an account, for one reader.

import type { ConnectionStatus, Feed } from './feed.ts';
import type { Filter, TimelineFrame } from './frames.ts';
import { OVERFLOW, Queue } from './queue.ts';

export interface EventsOptions {
  /** Resumes after this position: the cursor of the last item that was processed. */
  cursor?: string;
  filter?: Filter;
  signal?: AbortSignal | undefined;
  onConnection?: (status: ConnectionStatus) => void;
}

/** This reader was slower than the events, and some were dropped; a snapshot follows. */
export interface OverflowItem {
  type: 'overflow';
}

export type EventItem = TimelineFrame | OverflowItem;

/** Items that wait for a slow reader. */
const MAX_WAITING = 1_000;

export async function* readEvents(feed: Feed, options: EventsOptions): AsyncGenerator<EventItem, never> {
  const queue = new Queue<TimelineFrame>(MAX_WAITING);
  const present = feed.snapshot();
  if (present) queue.push(present);
  const unsubscribe = feed.subscribe({
    onFrame: (frame) => queue.push(frame),
    onError: (error) => queue.fail(error),
    ...(options.onConnection && { onConnection: options.onConnection }),
  });
  let { cursor } = options;
  try {
    for (;;) {
      const item = await queue.take(options.signal);
      if (item !== OVERFLOW) {
        if ('cursor' in item) cursor = item.cursor;
        yield item;
      } else if (options.cursor !== undefined) {
        // Alone on its connection: the server repeats what was dropped.
        feed.restart(cursor ?? null);
      } else {
        const snapshot = feed.snapshot();
        yield { type: 'overflow' };
        if (snapshot) yield snapshot;
      }
    }
  } finally {
    unsubscribe();
  }
}
