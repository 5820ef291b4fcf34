// The one door to the server: what the screens can ask of it, in their words.

import { createHttp, type HttpParts } from './http';
import { ApiError, Unreachable } from './errors';
import type { Check, Consent, ConsentText, Job, JobStatus, Page, Photo, Tokens, UploadSlot, User } from './types';
import { contentTypeOf, putBytes } from './upload';
import { pageWakes, wait } from './waiting';
import { watchJob, type JobView } from './watch-job';

export * from './errors';
export type { SignOutReason } from './http';
export * from './types';
export { browserTokens, type TokenStore } from './tokens';
export { pageWakes, pause } from './waiting';
export type { JobView } from './watch-job';
export type { Words } from './words';

/** The pauses before the second and third try to send a photo. */
const UPLOAD_PAUSES_MS = [1_000, 2_000];

export interface Sending {
  onSent: (share: number) => void;
  signal: AbortSignal;
}

export interface Api {
  isSignedIn(): boolean;
  register(email: string, password: string, signal?: AbortSignal): Promise<void>;
  signIn(email: string, password: string, signal?: AbortSignal): Promise<void>;
  signOut(): Promise<void>;
  me(): Promise<User>;
  /** What to ask people before the server takes their photos. */
  consentText(signal?: AbortSignal): Promise<ConsentText>;
  /** The person agrees to this text. */
  giveConsent(text: ConsentText): Promise<void>;
  consents(signal?: AbortSignal): Promise<Consent[]>;
  withdrawConsent(id: string): Promise<void>;
  /** Ends the session too. */
  deleteAccount(): Promise<void>;
  /** With every picture made from it. */
  deletePhoto(photoId: string): Promise<void>;
  /** Sends the photo and has the server look at it. */
  uploadPhoto(file: File, sending: Sending): Promise<Photo>;
  /** Looks at a photo without making a job of it. */
  check(photoId: string, signal?: AbortSignal): Promise<Check>;
  submit(photoId: string, signal?: AbortSignal): Promise<Job>;
  reprocess(jobId: string, signal?: AbortSignal): Promise<Job>;
  cancel(jobId: string): Promise<void>;
  job(jobId: string, signal?: AbortSignal): Promise<JobStatus>;
  recentJobs(signal?: AbortSignal): Promise<JobStatus[]>;
  watch(jobId: string, onView: (view: JobView) => void, signal: AbortSignal): Promise<JobStatus>;
  /** The bytes behind a signed link. */
  picture(url: string, signal?: AbortSignal): Promise<Blob>;
}

export function createApi(parts: HttpParts): Api {
  const { tokens } = parts;
  const http = createHttp(parts);

  async function uploadPhoto(file: File, { onSent, signal }: Sending): Promise<Photo> {
    const contentType = contentTypeOf(file);
    const slot = await http.send<UploadSlot>('POST', '/photos/upload', {
      body: { content_type: contentType },
      signal,
    });
    if (slot.max_bytes !== undefined && file.size > slot.max_bytes) throw tooLarge(file.size, slot.max_bytes);
    for (let attempt = 0; ; attempt += 1) {
      try {
        await putBytes({ url: slot.upload_url, file, contentType, onSent, signal });
        break;
      } catch (error) {
        const pauseMs = UPLOAD_PAUSES_MS[attempt];
        const passing = error instanceof Unreachable || (error instanceof ApiError && error.status >= 500);
        if (!passing || pauseMs === undefined) throw error;
        await wait(pauseMs, signal);
      }
    }
    onSent(1);
    return http.send<Photo>('POST', `/photos/${slot.photo_id}/confirm`, { body: {}, signal });
  }

  return {
    isSignedIn: () => tokens.read() !== null,
    async register(email, password, signal) {
      await http.send<User>('POST', '/auth/register', { body: { email, password }, anonymous: true, signal });
    },
    async signIn(email, password, signal) {
      const call = { body: { email, password }, anonymous: true, signal };
      tokens.write(await http.send<Tokens>('POST', '/auth/login/json', call));
    },
    async signOut() {
      try {
        await http.send('POST', '/auth/logout', {});
      } catch {
        // The person leaves whether the server hears of it or not.
      }
      tokens.clear();
    },
    me: () => http.send<User>('GET', '/users/me'),
    consentText: (signal) => http.send<ConsentText>('GET', '/privacy/jurisdiction', { anonymous: true, signal }),
    async giveConsent({ jurisdiction, consent_text_version }) {
      const body = { consent_type: 'biometric_capture', jurisdiction, consent_text_version };
      await http.send('POST', '/privacy/consent', { body });
    },
    async consents(signal) {
      return (await http.send<{ consents: Consent[] }>('GET', '/privacy/consent', { signal })).consents;
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
      const page = await http.send<Page<JobStatus>>('GET', '/processing/jobs?page=1&page_size=8', { signal });
      return page.items;
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
        wake: pageWakes,
      }),
    async picture(url, signal) {
      try {
        const response = await parts.fetch(url, { signal: signal ?? null });
        if (response.ok) return await response.blob();
      } catch {
        if (signal?.aborted) throw new DOMException('Cancelled', 'AbortError');
      }
      throw new Unreachable();
    },
  };
}

function tooLarge(size: number, limit: number): ApiError {
  const tenths = (bytes: number) => (bytes / (1 << 20)) * 10;
  const [found, most] = [Math.ceil(tenths(size)) / 10, Math.floor(tenths(limit)) / 10];
  return new ApiError(
    413,
    'image_too_large',
    `This photo has ${found} MB. The most that can be sent is ${most} MB.`,
    'Choose a smaller photo, or take one with a lower resolution.',
  );
}

function socketUrl(jobId: string, token: string): string {
  const origin = location.origin.replace(/^http/, 'ws');
  return `${origin}/ws/jobs/${encodeURIComponent(jobId)}?token=${encodeURIComponent(token)}`;
}
