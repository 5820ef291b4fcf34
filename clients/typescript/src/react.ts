// Hooks for React: `useJob` and `useJobs`. All components share the connection of the client.

import { useMemo, useSyncExternalStore } from 'react';
import type { IrisflowClient } from './client.ts';
import type { Filter } from './frames.ts';
import { jobsStore, jobStore, type Live, type LiveStore } from './store.ts';
import type { JobState } from './types.ts';

export function useJob(client: IrisflowClient, jobId: string): Live<JobState> {
  return useLive(useMemo(() => jobStore(client, jobId), [client, jobId]));
}

/** The unfinished and the newest finished jobs, newest first. */
export function useJobs(client: IrisflowClient, filter?: Filter): Live<JobState[]> {
  const key = JSON.stringify(filter);
  return useLive(useMemo(() => jobsStore(client, filter), [client, key]));
}

function useLive<T>(store: LiveStore<T>): Live<T> {
  return useSyncExternalStore(store.subscribe, store.get, store.get);
}
