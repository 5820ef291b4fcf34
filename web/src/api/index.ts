// The API of the page: the only way for screens to reach the server. The requests themselves are those of
// `@irisflow/client` (clients/typescript); here is what only this page needs.

import { delay, IrisflowClient, NetworkError, pageWake as createPageWake, type TokenStore } from '@irisflow/client';
import { createGuard, type GuardParts } from './session-guard';
import type { Check, Consent, ConsentList, ConsentText, Estimate, Job, JobStatus, Photo, PictureOptions, Preview } from './types';

export { errorTextOf, type ErrorText } from './error-text';
export * from './errors';
export { browserTokens } from './token-store';
export * from './types';
export { delay };

/** Dispatches `wake` when the page comes to the foreground or online again. */
export const pageWake = createPageWake();

interface UploadOptions {
  /** Called with the share sent so far, 0 to 1. */
  onSent: (share: number) => void;
  signal: AbortSignal;
}

/** A job as its screen shows it. */
export interface JobView {
  progress: number;
  step: string;
  /** False while reconnecting; the job itself goes on meanwhile. */
  connected: boolean;
  estimate?: Partial<Estimate>;
  /** Of the work so far. */
  previews?: Preview[];
}

export interface Api {
  isSignedIn(): boolean;
  register(email: string, password: string, signal?: AbortSignal): Promise<void>;
  signIn(email: string, password: string, signal?: AbortSignal): Promise<void>;
  signOut(): Promise<void>;
  /** The consent text in force on this server. */
  consentText(signal?: AbortSignal): Promise<ConsentText>;
  giveConsent(text: ConsentText): Promise<void>;
  consents(signal?: AbortSignal): Promise<Consent[]>;
  withdrawConsent(id: string): Promise<void>;
  /** Ends the session too. */
  deleteAccount(): Promise<void>;
  /** With every picture made from it. */
  deletePhoto(photoId: string): Promise<void>;
  /** Uploads the photo and has the server read it. */
  uploadPhoto(file: File, options: UploadOptions): Promise<Photo>;
  /** Checks the quality of a photo without making a job. */
  check(photoId: string, signal?: AbortSignal): Promise<Check>;
  submit(photoId: string, signal?: AbortSignal): Promise<Job>;
  /** Makes the picture again, with other options or as before. */
  reprocess(jobId: string, picture?: PictureOptions): Promise<Job>;
  cancel(jobId: string): Promise<void>;
  job(jobId: string, signal?: AbortSignal): Promise<JobStatus>;
  recentJobs(signal?: AbortSignal): Promise<JobStatus[]>;
  /** Keeps the live connection open, so that a job that is submitted later is seen from its first step. */
  stayConnected(signal: AbortSignal): Promise<void>;
  /** Follows a job until it ends. */
  watch(jobId: string, onView: (view: JobView) => void, signal: AbortSignal): Promise<JobStatus>;
  /** The bytes behind a signed URL. */
  picture(url: string, signal?: AbortSignal): Promise<Blob>;
}

export interface ApiParts extends GuardParts {
  fetch: typeof fetch;
  tokens: TokenStore;
}

export function createApi(parts: ApiParts): Api {
  const { fetch, tokens } = parts;
  const client = new IrisflowClient({ fetch, tokens, wake: pageWake });
  const guard = createGuard(parts);

  async function watch(id: string, onView: (view: JobView) => void, signal: AbortSignal): Promise<JobStatus> {
    let view: JobView = { progress: 0, step: '', connected: true };
    const update = (change: Partial<JobView>) => onView((view = { ...view, ...change }));
    const states = client.watchJob(id, {
      signal,
      onConnection({ state }) {
        if (state === 'open' || state === 'waiting') update({ connected: state === 'open' });
      },
    });
    for await (const job of states) {
      update({ progress: job.progress, step: job.step, estimate: job, previews: job.previews ?? [] });
    }
    // The job itself has every URL.
    return client.job(id, signal);
  }

  return {
    isSignedIn: () => tokens.read() !== null,
    register: (email, password, signal) => client.register(email, password, signal),
    signIn: (email, password, signal) => client.login(email, password, signal),
    // This page signs out even when the server cannot be reached.
    signOut: () => client.logout().catch(() => undefined),
    consentText: (signal) => client.request<ConsentText>('GET', '/privacy/jurisdiction', { anonymous: true, signal }),
    async giveConsent({ jurisdiction, consent_text_version }) {
      const body = { consent_type: 'biometric_capture', jurisdiction, consent_text_version };
      await guard(() => client.request('POST', '/privacy/consent', { body }));
    },
    async consents(signal) {
      const list = await guard(() => client.request<ConsentList>('GET', '/privacy/consent', { signal }), signal);
      return list.consents;
    },
    async withdrawConsent(id) {
      await guard(() => client.request('POST', `/privacy/consent/${id}/withdraw`));
    },
    async deleteAccount() {
      await guard(() => client.request('DELETE', '/users/me', { body: { confirm: true } }));
      tokens.clear();
    },
    deletePhoto: (photoId) => guard(() => client.deletePhoto(photoId)),
    uploadPhoto: (file, options) =>
      guard(() => client.uploadPhoto(file, { ...options, presigned: true }), options.signal),
    check: (photoId, signal) => guard(() => client.checkPhoto(photoId, signal), signal),
    submit: (photoId, signal) => guard(() => client.submit(photoId, { signal }), signal),
    reprocess: (jobId, picture) => guard(() => client.reprocess(jobId, { picture })),
    cancel: (jobId) => guard(() => client.cancel(jobId)),
    job: (jobId, signal) => guard(() => client.job(jobId, signal), signal),
    recentJobs: (signal) => guard(async () => (await client.jobs({ page_size: 8 }, signal)).items, signal),
    stayConnected: (signal) =>
      guard(async () => {
        for await (const _ of client.watchJobs({ signal }));
      }, signal),
    watch: (jobId, onView, signal) => guard(() => watch(jobId, onView, signal), signal),
    async picture(url, signal) {
      try {
        const response = await fetch(url, { signal: signal ?? null });
        if (response.ok) return await response.blob();
      } catch {
        signal?.throwIfAborted();
      }
      throw new NetworkError('the picture cannot be read');
    },
  };
}
