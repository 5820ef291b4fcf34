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

/** To open a connection. */
export interface ConnectDecision {
  kind: 'connect';
  transport: Transport;
  delayMs: number;
  renewToken: boolean;
  /** After this time on a lesser transport, the connection ends with `probe`. */
  probeAfterMs: number | null;
  /** Why the last connection has ended; null at the start. */
  reason: string | null;
  /** Why this is not the best transport; null when it is. */
  fallbackReason: string | null;
}

export type Decision = ConnectDecision | { kind: 'stop'; error: Error };

/** How a connection went, whatever has ended it. */
export interface ConnectionOutcome {
  /** Whether it received a frame. */
  delivered: boolean;
  lastedMs: number;
}

/** After this many connections without a frame a transport counts as blocked: some proxies pass no upgrades. */
const MAX_ATTEMPTS_WITHOUT_FRAME = 2;
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
  #attemptsWithoutFrame = 0;
  /** Whether the current transport has delivered a frame since it was chosen. */
  #proven = false;
  #rejectedTokens = 0;
  #probes = 0;
  /** Why the best transport was removed. */
  #removalReason: string | null = null;
  #fallbackReason: string | null = null;

  constructor(random: () => number, transports: readonly Transport[] = TRANSPORTS, firstProbeMs = FIRST_PROBE_MS) {
    this.#random = random;
    this.#firstProbeMs = firstProbeMs;
    this.#transports = [...transports];
  }

  start(): ConnectDecision {
    return this.#connect(0, null);
  }

  next(end: End, outcome: ConnectionOutcome): Decision {
    this.#record(outcome);
    switch (end.kind) {
      case 'refused':
        return { kind: 'stop', error: end.error };
      case 'unsupported':
        return this.#removeTransport(end.reason);
      case 'probe':
        this.#probes += 1;
        this.#select(0);
        // One failure is enough to come back.
        this.#attemptsWithoutFrame = MAX_ATTEMPTS_WITHOUT_FRAME - 1;
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
        if (!this.#proven) this.#select(0);
        return this.#connect(this.#backoff(), end.reason);
      case 'lost':
        if (!outcome.delivered) this.#attemptsWithoutFrame += 1;
        if (this.#attemptsWithoutFrame >= MAX_ATTEMPTS_WITHOUT_FRAME) this.#fallBack(end.reason);
        return this.#connect(this.#backoff(), end.reason);
    }
  }

  #record({ delivered, lastedMs }: ConnectionOutcome): void {
    this.#failures = lastedMs >= STABLE_MS && delivered ? 0 : this.#failures + 1;
    if (!delivered) return;
    this.#attemptsWithoutFrame = 0;
    this.#rejectedTokens = 0;
    this.#proven = true;
    if (this.#current === 0) this.#probes = 0;
  }

  /** To the next transport; from the last one back to the first. */
  #fallBack(reason: string): void {
    const blocked = this.#transports[this.#current];
    const next = (this.#current + 1) % this.#transports.length;
    this.#select(next, next > 0 ? `${blocked}: ${reason}` : null);
  }

  /** Never uses the current transport again. */
  #removeTransport(reason: string): Decision {
    const removal = `${this.#transports[this.#current]}: ${reason}`;
    this.#transports.splice(this.#current, 1);
    if (this.#transports.length === 0) return { kind: 'stop', error: new Error(removal) };
    if (this.#current === 0) this.#removalReason = removal;
    this.#select(this.#current % this.#transports.length, removal);
    return this.#connect(0, reason);
  }

  #select(index: number, fallbackReason: string | null = null): void {
    this.#current = index;
    this.#attemptsWithoutFrame = 0;
    this.#proven = false;
    this.#fallbackReason = fallbackReason ?? this.#removalReason;
  }

  #connect(delayMs: number, reason: string | null, renewToken = false): ConnectDecision {
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
