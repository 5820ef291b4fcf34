// A live value for user interfaces: runs while it has subscribers. The entries for React and Svelte are built on it.

import type { IrisflowClient } from './client.ts';
import type { ConnectionStatus } from './feed.ts';
import type { Filter } from './frames.ts';
import type { JobState } from './types.ts';

export interface Live<T> {
  /** Null until the first state was received. */
  value: T | null;
  connection: ConnectionStatus | null;
  /** Why it does not go on. */
  error: Error | null;
}

export interface LiveStore<T> {
  get(): Live<T>;
  /** Returns how to unsubscribe. */
  subscribe(listener: () => void): () => void;
}

interface SourceOptions {
  signal: AbortSignal;
  onConnection: (status: ConnectionStatus) => void;
}

export function jobStore(client: IrisflowClient, jobId: string): LiveStore<JobState> {
  return liveStore((options) => client.watchJob(jobId, options));
}

export function jobsStore(client: IrisflowClient, filter?: Filter): LiveStore<JobState[]> {
  return liveStore((options) => client.watchJobs({ ...options, ...(filter && { filter }) }));
}

function liveStore<T>(open: (options: SourceOptions) => AsyncIterable<T>): LiveStore<T> {
  const listeners = new Set<() => void>();
  let live: Live<T> = { value: null, connection: null, error: null };
  let running: AbortController | null = null;

  function set(change: Partial<Live<T>>): void {
    live = { ...live, ...change };
    for (const listener of listeners) listener();
  }

  async function run(signal: AbortSignal): Promise<void> {
    const onConnection = (connection: ConnectionStatus) => {
      if (!signal.aborted) set({ connection });
    };
    try {
      for await (const value of open({ signal, onConnection })) set({ value, error: null });
    } catch (error) {
      if (!signal.aborted) set({ error: error as Error });
    }
  }

  return {
    get: () => live,
    subscribe(listener) {
      listeners.add(listener);
      if (!running) void run((running = new AbortController()).signal);
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        running?.abort();
        running = null;
      };
    },
  };
}
