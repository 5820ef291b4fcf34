// The API client: the only way for screens to reach the server.

import { texts } from '../texts';
import { ApiError, isTransient, NetworkError } from './errors';
import { createHttp, type HttpParts } from './http';
import { contentTypeOf, putBytes } from './photo-upload';
import { abortError, delay, pageWake } from './retry-delay';
import type {
  Check,
  Consent,
  ConsentList,
  ConsentText,
  Job,
  JobPage,
  JobStatus,
  Photo,
  Tokens,
  UploadSlot,
} from './types';
import { watchJob, type JobView } from './watch-job';

export { errorTextOf, type ErrorText } from './error-text';
export * from './errors';
export { delayUntilWake, pageWake } from './retry-delay';
export { browserTokens } from './token-store';
export * from './types';
export type { JobView } from './watch-job';

/** The delays before the second and the third attempt to upload a photo. */
const UPLOAD_RETRY_DELAYS_MS = [1_000, 2_000];

interface UploadOptions {
  /** Called with the share sent so far, 0 to 1. */
  onSent: (share: number) => void;
  signal: AbortSignal;
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
  reprocess(jobId: string, signal?: AbortSignal): Promise<Job>;
  cancel(jobId: string): Promise<void>;
  job(jobId: string, signal?: AbortSignal): Promise<JobStatus>;
  recentJobs(signal?: AbortSignal): Promise<JobStatus[]>;
  /** Follows a job until it ends. */
  watch(jobId: string, onView: (view: JobView) => void, signal: AbortSignal): Promise<JobStatus>;
  /** The bytes behind a signed URL. */
  picture(url: string, signal?: AbortSignal): Promise<Blob>;
}

export function createApi(parts: HttpParts): Api {
  const { tokens } = parts;
  const http = createHttp(parts);

  async function uploadPhoto(file: File, options: UploadOptions): Promise<Photo> {
    const { signal } = options;
    const contentType = contentTypeOf(file);
    const slot = await http.send<UploadSlot>('POST', '/photos/upload', {
      body: { content_type: contentType },
      signal,
    });
    if (file.size > slot.max_bytes) throw photoTooLarge(file.size, slot.max_bytes);
    await putWithRetries(slot.upload_url, file, contentType, options);
    options.onSent(1);
    return http.send<Photo>('POST', `/photos/${slot.photo_id}/confirm`, { body: {}, signal });
  }

  return {
    isSignedIn: () => tokens.read() !== null,
    async register(email, password, signal) {
      await http.send('POST', '/auth/register', { body: { email, password }, anonymous: true, signal });
    },
    async signIn(email, password, signal) {
      const call = { body: { email, password }, anonymous: true, signal };
      tokens.write(await http.send<Tokens>('POST', '/auth/login/json', call));
    },
    async signOut() {
      try {
        await http.send('POST', '/auth/logout', {});
      } catch {
        // This page signs out even when the server cannot be reached.
      }
      tokens.clear();
    },
    consentText: (signal) => http.send<ConsentText>('GET', '/privacy/jurisdiction', { anonymous: true, signal }),
    async giveConsent({ jurisdiction, consent_text_version }) {
      const body = { consent_type: 'biometric_capture', jurisdiction, consent_text_version };
      await http.send('POST', '/privacy/consent', { body });
    },
    async consents(signal) {
      return (await http.send<ConsentList>('GET', '/privacy/consent', { signal })).consents;
    },
    async withdrawConsent(id) {
      await http.send('POST', `/privacy/consent/${id}/withdraw`);
    },
    async deleteAccount() {
      await http.send('DELETE', '/users/me', { body: { confirm: true } });
      tokens.clear();
    },
    async deletePhoto(photoId) {
      await http.send('DELETE', `/photos/${photoId}`);
    },
    uploadPhoto,
    check: (photoId, signal) => http.send<Check>('POST', `/photos/${photoId}/check`, { signal }),
    submit: (photoId, signal) =>
      http.send<Job>('POST', '/processing/submit', { body: { photo_id: photoId }, signal }),
    reprocess: (jobId, signal) => http.send<Job>('POST', `/processing/jobs/${jobId}/reprocess`, { signal }),
    async cancel(jobId) {
      await http.send('POST', `/processing/jobs/${jobId}/cancel`);
    },
    job: (jobId, signal) => http.send<JobStatus>('GET', `/processing/jobs/${jobId}`, { signal }),
    async recentJobs(signal) {
      return (await http.send<JobPage>('GET', '/processing/jobs?page=1&page_size=8', { signal })).items;
    },
    watch: (jobId, onView, signal) =>
      watchJob({
        openSocket: (token) => new WebSocket(socketUrl(jobId, token)),
        readJob: (reading) => http.send<JobStatus>('GET', `/processing/jobs/${jobId}`, { signal: reading }),
        accessToken: http.accessToken,
        renew: http.renew,
        signOut: http.signOut,
        onView,
        signal,
        wake: pageWake,
      }),
    async picture(url, signal) {
      try {
        const response = await parts.fetch(url, { signal: signal ?? null });
        if (response.ok) return await response.blob();
      } catch {
        if (signal?.aborted) throw abortError();
      }
      throw new NetworkError();
    },
  };
}

async function putWithRetries(url: string, file: File, contentType: string, options: UploadOptions): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await putBytes({ url, file, contentType, ...options });
    } catch (error) {
      const delayMs = UPLOAD_RETRY_DELAYS_MS[attempt];
      if (!isTransient(error) || delayMs === undefined) throw error;
      await delay(delayMs, options.signal);
    }
  }
}

function photoTooLarge(size: number, limit: number): ApiError {
  const tenths = (bytes: number) => (bytes / (1 << 20)) * 10;
  const [megabytes, limitMegabytes] = [Math.ceil(tenths(size)) / 10, Math.floor(tenths(limit)) / 10];
  const { message, suggestion } = texts.photoFile.tooLarge({ megabytes, limitMegabytes });
  return new ApiError(413, 'image_too_large', message, suggestion);
}

function socketUrl(jobId: string, token: string): string {
  const origin = location.origin.replace(/^http/, 'ws');
  return `${origin}/ws/jobs/${encodeURIComponent(jobId)}?token=${encodeURIComponent(token)}`;
}
