// Stores for Svelte: `$job` and `$jobs` in components. They follow its store contract and need no package.

import type { IrisflowClient } from './client.ts';
import type { Filter } from './frames.ts';
import { jobsStore, jobStore, type Live, type LiveStore } from './store.ts';
import type { JobState } from './types.ts';

export interface Readable<T> {
  /** Calls `run` with the present value and with each later one. Returns how to unsubscribe. */
  subscribe(run: (value: T) => void): () => void;
}

export function job(client: IrisflowClient, jobId: string): Readable<Live<JobState>> {
  return readable(jobStore(client, jobId));
}

/** The unfinished and the newest finished jobs, newest first. */
export function jobs(client: IrisflowClient, filter?: Filter): Readable<Live<JobState[]>> {
  return readable(jobsStore(client, filter));
}

function readable<T>(store: LiveStore<T>): Readable<Live<T>> {
  return {
    subscribe(run) {
      run(store.get());
      return store.subscribe(() => run(store.get()));
    },
  };
}
