// Decides what follows when a connection has ended: which transport next, after which delay, or none at all.
// No clock and no network: randomness is given, and delays are answers.

import { BACKOFF, backoffMs } from './delay.ts';
import type { ApiError } from './errors.ts';

/** From the best to the one that passes every proxy. */
export const TRANSPORTS = ['websocket', 'sse', 'long-poll'] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** Why a connection has ended. */
export type End =
  /** This transport works neither now nor later, here or on this server. */
  | { kind: 'unsupported'; reason: string }
  /** A plain request got no answer: network or server are away, which says nothing about the transport. */
  | { kind: 'unreachable'; reason: string }
  /** Closed without a reason, or silent for too long. */
  | { kind: 'lost'; reason: string }
  /** A new connection resumes where this one ended. `inMs`: when the server wants it. */
  | { kind: 'resume'; reason: string; inMs?: number }
  | { kind: 'token_rejected'; error: ApiError }
  /** Refused for a reason that passes. */
  | { kind: 'overloaded'; error: ApiError }
  /** Refused for a reason that does not pass. */
  | { kind: 'refused'; error: Error }
  /** It is time to try a better transport. */
  | { kind: 'probe' };

export type Move =
  | {
      kind: 'connect';
      transport: Transport;
      delayMs: number;
      renewToken: boolean;
      /** After this time on a lesser transport, end with `probe`. */
      probeAfterMs: number | null;
      /** Why the last connection has ended; null at the start. */
      reason: string | null;
      /** Why this is not the best transport; null when it is. */
      fallbackReason: string | null;
    }
  | { kind: 'stop'; error: Error };

/** How a connection went, whatever ended it. */
export interface Course {
  /** Whether it received a frame. */
  delivered: boolean;
  lastedMs: number;
}

/** After this many connections without a frame a transport counts as blocked: some proxies pass no upgrades. */
const MAX_FRUITLESS = 2;
const MAX_REJECTED_TOKENS = 3;
/** A connection that lasted this long ends a series of failures. */
const STABLE_MS = 10_000;
/** Clients that a server closes without a hint come back within this time. */
const RESUME_SPREAD_MS = 2_000;
/** From the fallback to the first probe of a better transport; doubled for each further one. */
export const FIRST_PROBE_MS = 15_000;
const LAST_PROBE_MS = 3_600_000;

export class ConnectionPolicy {
  readonly #random: () => number;
  readonly #firstProbeMs: number;
  readonly #transports: Transport[];
  /** The position of the current one in `#transports`. */
  #current = 0;
  /** Short connections in a row, over all transports. */
  #failures = 0;
  /** Connections in a row that the current transport lost before a frame. */
  #fruitless = 0;
  /** Whether the current transport has delivered a frame since it was chosen. */
  #proven = false;
  #rejectedTokens = 0;
  #probes = 0;
  /** Why the best transport was struck off. */
  #struckReason: string | null = null;
  #fallbackReason: string | null = null;

  constructor(random: () => number, transports: readonly Transport[] = TRANSPORTS, firstProbeMs = FIRST_PROBE_MS) {
    this.#random = random;
    this.#firstProbeMs = firstProbeMs;
    this.#transports = [...transports];
  }

  start(): Move {
    return this.#connect(0, null);
  }

  next(end: End, course: Course): Move {
    this.#record(course);
    switch (end.kind) {
      case 'refused':
        return { kind: 'stop', error: end.error };
      case 'unsupported':
        return this.#strikeOff(end.reason);
      case 'probe':
        this.#probes += 1;
        this.#use(0);
        // One failure is enough to come back.
        this.#fruitless = MAX_FRUITLESS - 1;
        return this.#connect(0, 'trying a better transport');
      case 'token_rejected':
        this.#rejectedTokens += 1;
        if (this.#rejectedTokens > MAX_REJECTED_TOKENS) return { kind: 'stop', error: end.error };
        return this.#connect(this.#rejectedTokens > 1 ? this.#backoff() : 0, end.error.message, true);
      case 'overloaded':
        return this.#connect((end.error.retryAfterMs ?? 0) + this.#backoff(), end.error.message);
      case 'resume': {
        const asked = end.inMs ?? this.#random() * RESUME_SPREAD_MS;
        return this.#connect(this.#failures > 1 ? Math.max(asked, this.#backoff()) : asked, end.reason);
      }
      case 'unreachable':
        if (!this.#proven) this.#use(0);
        return this.#connect(this.#backoff(), end.reason);
      case 'lost':
        if (!course.delivered) this.#fruitless += 1;
        if (this.#fruitless >= MAX_FRUITLESS) this.#fallBack(end.reason);
        return this.#connect(this.#backoff(), end.reason);
    }
  }

  #record({ delivered, lastedMs }: Course): void {
    this.#failures = lastedMs >= STABLE_MS && delivered ? 0 : this.#failures + 1;
    if (!delivered) return;
    this.#fruitless = 0;
    this.#rejectedTokens = 0;
    this.#proven = true;
    if (this.#current === 0) this.#probes = 0;
  }

  /** To the next transport; from the last one back to the first. */
  #fallBack(reason: string): void {
    const blocked = this.#transports[this.#current];
    const next = (this.#current + 1) % this.#transports.length;
    this.#use(next, next > 0 ? `${blocked}: ${reason}` : null);
  }

  /** Never uses the current transport again. */
  #strikeOff(reason: string): Move {
    const struck = `${this.#transports[this.#current]}: ${reason}`;
    this.#transports.splice(this.#current, 1);
    if (this.#transports.length === 0) return { kind: 'stop', error: new Error(struck) };
    if (this.#current === 0) this.#struckReason = struck;
    this.#use(this.#current % this.#transports.length, struck);
    return this.#connect(0, reason);
  }

  #use(index: number, fallbackReason: string | null = null): void {
    this.#current = index;
    this.#fruitless = 0;
    this.#proven = false;
    this.#fallbackReason = fallbackReason ?? this.#struckReason;
  }

  #connect(delayMs: number, reason: string | null, renewToken = false): Move {
    const probeAfterMs = Math.min(LAST_PROBE_MS, this.#firstProbeMs * 2 ** this.#probes);
    return {
      kind: 'connect',
      transport: this.#transports[this.#current] as Transport,
      delayMs,
      renewToken,
      probeAfterMs: this.#current > 0 ? probeAfterMs : null,
      reason,
      fallbackReason: this.#fallbackReason,
    };
  }

  #backoff(): number {
    return backoffMs(this.#failures, this.#random, BACKOFF);
  }
}
