// `IrisflowClient`: everything that a caller does with one account on one server.

import { TRANSPORTS, type Transport } from './connection-policy.ts';
import { pageWake } from './delay.ts';
import { JobFailedError } from './errors.ts';
import { readEvents, type EventItem, type EventsOptions } from './events.ts';
import { Feed, type ConnectionStatus, type FeedOptions } from './feed.ts';
import type { Filter } from './frames.ts';
import { Http, type Call } from './http.ts';
import { uploadPhoto, type UploadOptions } from './photo-upload.ts';
import { inMemoryTokens, Session, type Bearer, type TokenStore } from './session.ts';
import { LINK_LIMITS, type LinkLimits, type SocketConstructor } from './transports/link.ts';
import type { Batch, Check, Job, JobPage, JobState, JobStatus, Photo, PictureOptions } from './types.ts';
import { watchJob, watchJobs } from './watch.ts';

export interface ClientOptions {
  /** As in `https://iris.example.com`. The default is the page's own origin. */
  baseUrl?: string;
  /** Supplies access tokens, where they come from elsewhere than `login`. */
  bearer?: Bearer;
  /** Where the tokens of `login` are kept; by default in memory. */
  tokens?: TokenStore;
  fetch?: typeof fetch;
  /** For runtimes without one, as Node.js 20: that of the package `ws`. */
  WebSocket?: SocketConstructor;
  /** The transports to use, the best first. */
  transports?: readonly Transport[];
  /**
   * Shares the live connection between the tabs of a browser that use the same name, as the id of the account. It
   * needs Web Locks, which pages without HTTPS lack; then each tab has its own.
   */
  shareTabs?: string;
  /** Dispatches `wake` when the app comes to the foreground or online. By default the page's own events. */
  wake?: EventTarget;
  /** For tests. */
  random?: () => number;
  locks?: LockManager | null;
  limits?: Partial<LinkLimits>;
}

export interface JobOptions {
  signal?: AbortSignal | undefined;
  /** Repeating a request with the same key gives the first answer. By default made anew for each call. */
  idempotencyKey?: string;
  /** How the picture is to be made; by default as the server thinks best, and of a job that is repeated as before. */
  picture?: PictureOptions | undefined;
}

export interface WatchOptions {
  signal?: AbortSignal | undefined;
  onConnection?: (status: ConnectionStatus) => void;
}

export type ProcessProgress = { phase: 'uploading'; sent: number } | { phase: 'processing'; job: JobState };

export interface ProcessOptions extends WatchOptions {
  onProgress?: (progress: ProcessProgress) => void;
  /** How the picture is to be made. */
  picture?: PictureOptions;
  upload?: Omit<UploadOptions, 'onSent' | 'signal'>;
}

export class IrisflowClient {
  readonly #http: Http;
  readonly #session: Session;
  readonly #feedOptions: FeedOptions;
  /** By filter. */
  readonly #feeds = new Map<string, Feed>();

  constructor(options: ClientOptions = {}) {
    const baseUrl = (options.baseUrl ?? globalThis.location?.origin ?? '').replace(/\/+$/, '');
    const locks = options.locks === undefined ? globalThis.navigator?.locks : options.locks;
    const { random = Math.random, fetch: givenFetch = (...request) => globalThis.fetch(...request) } = options;
    // Called without an object: the browser's own refuses to be a method of another one.
    const fetch: typeof givenFetch = (...request) => givenFetch(...request);
    const request = <Answer>(method: string, path: string, call: Call) => this.request<Answer>(method, path, call);
    this.#session = new Session(options.tokens ?? inMemoryTokens(), request);
    const bearer = options.bearer ?? this.#session.bearer;
    this.#http = new Http({ baseUrl, fetch, bearer, random });
    this.#feedOptions = {
      baseUrl,
      fetch,
      WebSocket: options.WebSocket ?? (globalThis.WebSocket as SocketConstructor | undefined),
      transports: options.transports ?? TRANSPORTS,
      bearer,
      random,
      limits: { ...LINK_LIMITS, ...options.limits },
      wake: options.wake ?? pageWake(),
      tabs: options.shareTabs !== undefined && locks ? { name: `irisflow ${options.shareTabs}`, locks } : null,
    };
  }

  /** Any request to the API, for what has no method here. `path` is below `/api/v1`. */
  request<Answer>(method: string, path: string, call?: Call): Promise<Answer> {
    return this.#http.request<Answer>(method, path, call);
  }

  // The session

  async register(email: string, password: string, signal?: AbortSignal): Promise<void> {
    await this.request('POST', '/auth/register', { body: { email, password }, anonymous: true, signal });
  }

  login(email: string, password: string, signal?: AbortSignal): Promise<void> {
    return this.#session.login(email, password, signal);
  }

  /** Ends the session here, and on the server if that can be reached. */
  async logout(signal?: AbortSignal): Promise<void> {
    try {
      await this.request('POST', '/auth/logout', { signal });
    } finally {
      this.#session.store.clear();
    }
  }

  // Photos

  uploadPhoto(photo: Blob, options: UploadOptions = {}): Promise<Photo> {
    return uploadPhoto(this.#http, photo, options);
  }

  /** Checks the quality of a photo without making a job. */
  checkPhoto(photoId: string, signal?: AbortSignal): Promise<Check> {
    return this.request('POST', `/photos/${photoId}/check`, { signal });
  }

  /** With every picture made from it. */
  async deletePhoto(photoId: string, signal?: AbortSignal): Promise<void> {
    await this.request('DELETE', `/photos/${photoId}`, { signal });
  }

  // Jobs

  submit(photoId: string, options?: JobOptions): Promise<Job> {
    return this.#create<Job>('/processing/submit', { photo_id: photoId, ...pictureOf(options) }, options);
  }

  submitBatch(photoIds: string[], options?: JobOptions): Promise<Batch> {
    return this.#create<Batch>('/processing/batch', { photo_ids: photoIds, ...pictureOf(options) }, options);
  }

  reprocess(jobId: string, options?: JobOptions): Promise<Job> {
    return this.#create<Job>(`/processing/jobs/${jobId}/reprocess`, pictureOf(options), options);
  }

  job(jobId: string, signal?: AbortSignal): Promise<JobStatus> {
    return this.request('GET', `/processing/jobs/${jobId}`, { signal });
  }

  jobs(query: { page?: number; page_size?: number; status?: string; batch_id?: string } = {}, signal?: AbortSignal) {
    const parameters = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
    return this.request<JobPage>('GET', `/processing/jobs?${parameters}`, { signal });
  }

  async cancel(jobId: string, signal?: AbortSignal): Promise<void> {
    await this.request('POST', `/processing/jobs/${jobId}/cancel`, { signal, retry: true });
  }

  async deleteJob(jobId: string, signal?: AbortSignal): Promise<void> {
    await this.request('DELETE', `/processing/jobs/${jobId}`, { signal });
  }

  /** The key makes a retry safe: the server answers a repeated request with the job that the first one made. */
  #create<Answer>(path: string, body: unknown, { signal, idempotencyKey }: JobOptions = {}): Promise<Answer> {
    const headers = { 'Idempotency-Key': idempotencyKey ?? randomKey() };
    return this.request('POST', path, { body, headers, signal, retry: true });
  }

  // Live

  /**
   * Every change of the account's jobs, until the loop is left or the signal aborts. Begins with a snapshot, or
   * after `cursor` with what was missed. All subscriptions with the same filter share a connection, but for
   * those with a cursor.
   */
  events(options: EventsOptions = {}): AsyncGenerator<EventItem, never> {
    const { cursor, filter = null } = options;
    if (cursor === undefined) return readEvents(this.#feed(filter), options);
    return readEvents(new Feed({ ...this.#feedOptions, tabs: null }, filter, cursor), options);
  }

  /** The states of a job, beginning with the present one. Ends after the final one. */
  watchJob(jobId: string, options: WatchOptions = {}): AsyncGenerator<JobState, void> {
    return watchJob(this.#feed(null), jobId, (signal) => this.job(jobId, signal), options);
  }

  /** The unfinished and the newest finished jobs, newest first, after each change. */
  watchJobs(options: WatchOptions & { filter?: Filter } = {}): AsyncGenerator<JobState[], never> {
    return watchJobs(this.#feed(options.filter ?? null), options);
  }

  /**
   * Uploads a photo, submits it, and resolves with the finished job. Rejects with `JobFailedError` when the job
   * ends without a result. Aborting stops the watching, not the job; `cancel` does that.
   */
  async process(photo: Blob, options: ProcessOptions = {}): Promise<JobStatus> {
    const { signal, onProgress } = options;
    const onSent = (sent: number) => onProgress?.({ phase: 'uploading', sent });
    const { id } = await this.uploadPhoto(photo, { ...options.upload, signal, onSent });
    const submitted = await this.submit(id, { signal, picture: options.picture });
    for await (const job of this.watchJob(submitted.job_id, options)) {
      onProgress?.({ phase: 'processing', job });
    }
    const job = await this.job(submitted.job_id, signal);
    if (job.status !== 'completed') throw new JobFailedError(job);
    return job;
  }

  #feed(filter: Filter | null): Feed {
    const key = JSON.stringify(filter);
    const feed = this.#feeds.get(key) ?? new Feed(this.#feedOptions, filter);
    this.#feeds.set(key, feed);
    return feed;
  }
}

function pictureOf(options?: JobOptions): { options?: PictureOptions } | undefined {
  return options?.picture && { options: options.picture };
}

/** Not `crypto.randomUUID`, which pages without HTTPS lack. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
