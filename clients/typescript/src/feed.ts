// One connection with everything that belongs to it, shared by its listeners: it opens with the first one,
// resumes after losses, and closes with the last one.

import {
  ConnectionPolicy,
  type ConnectDecision,
  type ConnectionOutcome,
  type Decision,
  type End,
  type Transport,
} from './connection-policy.ts';
import { delay } from './delay.ts';
import { ApiError, isTransient, SignedOutError } from './errors.ts';
import type { Filter, ServerFrame, SnapshotFrame, TimelineFrame } from './frames.ts';
import type { Bearer } from './session.ts';
import { joinTabs, type TabGroup } from './tab-sharing.ts';
import { Timeline } from './timeline.ts';
import {
  endOfErrorFrame,
  type Connect,
  type Link,
  type LinkLimits,
  type SocketConstructor,
} from './transports/link.ts';
import { connectLongPoll } from './transports/long-poll.ts';
import { connectSse } from './transports/sse.ts';
import { connectWebSocket } from './transports/websocket.ts';

export interface ConnectionStatus {
  /** `waiting`: until the next attempt to connect. */
  state: 'idle' | 'connecting' | 'open' | 'waiting' | 'stopped';
  transport: Transport;
  /** Why it is not open, or why it is open over a lesser transport; null when all is well. */
  reason: string | null;
  /** Of `waiting`. */
  retryInMs: number | null;
}

export interface Listener {
  /** Called for frames that changed something, after `timeline` did. */
  onFrame(frame: TimelineFrame): void;
  onConnection?(status: ConnectionStatus): void;
  /** The feed has stopped for ever. */
  onError(error: Error): void;
}

export interface FeedOptions {
  baseUrl: string;
  fetch: typeof fetch;
  WebSocket: SocketConstructor | undefined;
  transports: readonly Transport[];
  bearer: Bearer;
  random: () => number;
  limits: LinkLimits;
  wake: EventTarget;
  /** Shares the connection with the tabs that use the same name. */
  tabs: { name: string; locks: LockManager } | null;
}

const CONNECT: Record<Transport, Connect> = {
  websocket: connectWebSocket,
  sse: connectSse,
  'long-poll': connectLongPoll,
};

export class Feed {
  /** What was received; reset when the last listener leaves. */
  timeline: Timeline;
  readonly #options: FeedOptions;
  readonly #filter: Filter | null;
  readonly #listeners = new Set<Listener>();
  #status: ConnectionStatus;
  #running: AbortController | null = null;
  #tabs: TabGroup<ConnectionStatus> | null = null;

  constructor(options: FeedOptions, filter: Filter | null, cursor: string | null = null) {
    this.#options = options;
    this.#filter = filter;
    this.timeline = new Timeline(cursor);
    this.#status = { state: 'idle', transport: options.transports[0] ?? 'websocket', reason: null, retryInMs: null };
  }

  get status(): ConnectionStatus {
    return this.#status;
  }

  /** The present state as a frame; null before it was received. */
  snapshot(): SnapshotFrame | null {
    const { cursor, complete, jobs } = this.timeline;
    if (cursor === null || !complete) return null;
    return { type: 'snapshot', cursor, jobs: [...jobs.values()] };
  }

  /** Returns how to unsubscribe. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    listener.onConnection?.(this.#status);
    if (!this.#running) this.#start();
    return () => {
      this.#listeners.delete(listener);
      // Not at once: a listener that is replaced in the same moment keeps the connection.
      setTimeout(() => this.#listeners.size === 0 && this.#close('idle', null));
    };
  }

  /** Connects anew, after `cursor`. */
  restart(cursor: string | null): void {
    this.#running?.abort();
    this.timeline = new Timeline(cursor);
    this.#start();
  }

  #start(): void {
    const { signal } = (this.#running = new AbortController());
    const { tabs, wake } = this.#options;
    if (!tabs) return void this.#run(signal);
    this.#tabs = joinTabs(`${tabs.name} ${JSON.stringify(this.#filter)}`, tabs.locks, wake, signal, {
      lead: (term) => void this.#run(term),
      follow: (frame) => this.#receiveTimelineFrame(frame) === null,
      followStatus: (status) => this.#publishStatus(status),
      snapshot: () => this.snapshot(),
      status: () => this.#status,
    });
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { random, transports, limits } = this.#options;
    const policy = new ConnectionPolicy(random, transports, limits.probeMs);
    let decision: Decision = policy.start();
    let token: string | undefined;
    while (decision.kind === 'connect') {
      try {
        if (decision.delayMs > 0) this.#setStatus('waiting', decision, decision.delayMs);
        await delay(decision.delayMs, signal, this.#options.wake);
      } catch {
        return;
      }
      this.#setStatus('connecting', decision);
      const outcome: ConnectionOutcome = { delivered: false, lastedMs: 0 };
      let end: End;
      try {
        token = await this.#options.bearer(decision.renewToken ? token : undefined);
        if (signal.aborted) return;
        end = await this.#connect(decision, token, outcome, signal);
      } catch (error) {
        end = endOfBearer(error);
      }
      if (signal.aborted) return;
      decision = policy.next(end, outcome);
    }
    this.#stop(decision.error);
  }

  async #connect(
    decision: ConnectDecision,
    token: string,
    outcome: ConnectionOutcome,
    signal: AbortSignal,
  ): Promise<End> {
    const { bearer, ...parts } = this.#options;
    const begun = Date.now();
    const ended = new AbortController();
    const abort = () => ended.abort();
    signal.addEventListener('abort', abort);
    const probe = decision.probeAfterMs === null ? undefined : setTimeout(abort, decision.probeAfterMs);
    const link: Link = {
      ...parts,
      token,
      renewToken: async () => (link.token = await bearer(link.token)),
      cursor: () => this.timeline.cursor,
      filter: this.#filter,
      signal: ended.signal,
      alive: () => {
        outcome.delivered = true;
        if (this.#status.state !== 'open') this.#setStatus('open', decision);
      },
      receive: (frame) => {
        if (frame.type !== 'error') link.alive();
        return this.#receive(frame);
      },
    };
    const end = await CONNECT[decision.transport](link);
    clearTimeout(probe);
    signal.removeEventListener('abort', abort);
    outcome.lastedMs = Date.now() - begun;
    return ended.signal.aborted ? { kind: 'probe' } : end;
  }

  #receive(frame: ServerFrame): End | null {
    switch (frame.type) {
      case 'closing':
        return { kind: 'resume', reason: 'the server restarts', inMs: frame.reconnect_in_ms };
      case 'error':
        return endOfErrorFrame(frame);
      case 'snapshot':
      case 'resumed':
      case 'event':
      case 'estimate':
      case 'gap':
        return this.#receiveTimelineFrame(frame);
      default:
        return null;
    }
  }

  #receiveTimelineFrame(frame: TimelineFrame): End | null {
    const effect = this.timeline.receive(frame);
    if (effect === 'lost') return { kind: 'resume', reason: 'events were lost on the way', inMs: 0 };
    this.#tabs?.broadcast(frame);
    if (effect === 'changed') for (const listener of this.#listeners) listener.onFrame(frame);
    return null;
  }

  #setStatus(state: ConnectionStatus['state'], decision: ConnectDecision, retryInMs: number | null = null): void {
    const reason = state === 'open' ? decision.fallbackReason : (decision.reason ?? decision.fallbackReason);
    this.#publishStatus({ state, transport: decision.transport, reason, retryInMs });
  }

  #publishStatus(status: ConnectionStatus): void {
    this.#status = status;
    this.#tabs?.broadcastStatus(status);
    for (const listener of this.#listeners) listener.onConnection?.(status);
  }

  #stop(error: Error): void {
    const listeners = [...this.#listeners];
    this.#close('stopped', error.message);
    this.#listeners.clear();
    for (const listener of listeners) listener.onError(error);
  }

  #close(state: 'idle' | 'stopped', reason: string | null): void {
    this.#running?.abort();
    this.#running = null;
    this.timeline = new Timeline();
    this.#publishStatus({ ...this.#status, state, reason, retryInMs: null });
  }
}

/** A `bearer` that fails. */
function endOfBearer(error: unknown): End {
  const final = error instanceof SignedOutError || (error instanceof ApiError && !isTransient(error));
  if (final) return { kind: 'refused', error };
  return { kind: 'unreachable', reason: error instanceof Error ? error.message : String(error) };
}
