// The connection policy with given randomness and given durations.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  ConnectionPolicy,
  TRANSPORTS,
  type End,
  type ConnectDecision,
  type Transport,
} from '../src/connection-policy.ts';
import { ApiError } from '../src/errors.ts';

const LOST: End = { kind: 'lost', reason: 'closed with code 1006' };
const AWAY: End = { kind: 'unreachable', reason: 'the server cannot be reached' };
const WITHOUT_FRAME = { delivered: false, lastedMs: 5 };
const SHORT = { delivered: true, lastedMs: 500 };
const LONG = { delivered: true, lastedMs: 60_000 };

function started(options: { random?: () => number; transports?: readonly Transport[] } = {}) {
  const { random = () => 1, transports = TRANSPORTS } = options;
  const policy = new ConnectionPolicy(random, transports);
  const first = policy.start();
  return {
    policy,
    first,
    next: (...turn: Parameters<ConnectionPolicy['next']>) => policy.next(...turn) as ConnectDecision,
  };
}

test('the first connection is a WebSocket, at once', () => {
  const { first } = started();
  assert.deepEqual(first, {
    kind: 'connect',
    transport: 'websocket',
    delayMs: 0,
    renewToken: false,
    probeAfterMs: null,
    reason: null,
    fallbackReason: null,
  });
});

describe('reconnect storm', () => {
  test('the jitter is applied after the cap: delays of a long outage cover the whole range', () => {
    const delays = [0, 0.25, 0.5, 0.99].map((value) => {
      const { next } = started({ random: () => value });
      for (let failure = 0; failure < 30; failure += 1) next(AWAY, WITHOUT_FRAME);
      return next(AWAY, WITHOUT_FRAME).delayMs;
    });
    assert.deepEqual(delays, [0, 3750, 7500, 14_850]);
  });

  test('delays double up to the cap', () => {
    const { next } = started();
    const delays = Array.from({ length: 7 }, () => next(AWAY, WITHOUT_FRAME).delayMs);
    assert.deepEqual(delays, [1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  });

  test('the hint of a closing server is kept to the millisecond', () => {
    const { next } = started();
    assert.equal(next({ kind: 'resume', reason: 'restart', inMs: 1234 }, LONG).delayMs, 1234);
  });

  test('without a hint, clients come back spread over two seconds', () => {
    const { next } = started({ random: () => 0.75 });
    assert.equal(next({ kind: 'resume', reason: 'restart' }, LONG).delayMs, 1500);
  });

  test('a server that accepts and drops again and again is backed off from', () => {
    const { next } = started();
    const delays = Array.from({ length: 4 }, () => next(LOST, SHORT).delayMs);
    assert.deepEqual(delays, [1000, 2000, 4000, 8000]);
    assert.equal(next(LOST, LONG).delayMs, 500);
  });

  test('a refusal with a time is followed by a wait for at least that time', () => {
    const { next } = started({ random: () => 0.5 });
    const error = new ApiError(503, 'too_many_connections', 'Too many.', { retryAfterMs: 10_000 });
    assert.equal(next({ kind: 'overloaded', error }, WITHOUT_FRAME).delayMs, 10_500);
  });
});

describe('fallback', () => {
  test('a WebSocket that twice ends before a frame is replaced, with the reason', () => {
    const { next } = started();
    assert.equal(next(LOST, WITHOUT_FRAME).transport, 'websocket');
    const decision = next(LOST, WITHOUT_FRAME);
    assert.equal(decision.transport, 'sse');
    assert.equal(decision.fallbackReason, 'websocket: closed with code 1006');
    next(LOST, WITHOUT_FRAME);
    assert.equal(next(LOST, WITHOUT_FRAME).transport, 'long-poll');
  });

  test('a WebSocket that has worked is not replaced for one loss', () => {
    const { next } = started();
    next(LOST, LONG);
    assert.equal(next(LOST, WITHOUT_FRAME).transport, 'websocket');
  });

  test('when plain requests fail too, the transport is not to blame', () => {
    const { next } = started();
    next(LOST, WITHOUT_FRAME);
    assert.equal(next(LOST, WITHOUT_FRAME).transport, 'sse');
    const decision = next(AWAY, WITHOUT_FRAME);
    assert.equal(decision.transport, 'websocket');
    assert.equal(decision.fallbackReason, null);
  });

  test('rejected tokens and outages are not held against the transport', () => {
    const { next } = started();
    const error = new ApiError(401, 'token_expired', 'Token expired');
    next(LOST, LONG);
    next(AWAY, WITHOUT_FRAME);
    next({ kind: 'token_rejected', error }, WITHOUT_FRAME);
    assert.equal(next(LOST, WITHOUT_FRAME).transport, 'websocket');
  });

  test('a fallback that has worked stays through an outage', () => {
    const { next } = started();
    next(LOST, WITHOUT_FRAME);
    next(LOST, WITHOUT_FRAME);
    next(LOST, LONG);
    assert.equal(next(AWAY, WITHOUT_FRAME).transport, 'sse');
  });

  test('a runtime without WebSocket goes on without delay, and never tries it again', () => {
    const { next } = started();
    const decision = next({ kind: 'unsupported', reason: 'this runtime has none' }, WITHOUT_FRAME);
    assert.deepEqual([decision.transport, decision.delayMs], ['sse', 0]);
    assert.equal(decision.fallbackReason, 'websocket: this runtime has none');
    assert.equal(decision.probeAfterMs, null);
    next(LOST, WITHOUT_FRAME);
    next(LOST, WITHOUT_FRAME);
    next(LOST, WITHOUT_FRAME);
    assert.equal(next(LOST, WITHOUT_FRAME).transport, 'sse');
  });

  test('without any transport left it stops', () => {
    const { next } = started({ transports: ['long-poll'] });
    assert.equal(next({ kind: 'unsupported', reason: 'status 404' }, WITHOUT_FRAME).kind as string, 'stop');
  });

  test('better transports are probed, ever more seldom, and one failure is enough to come back', () => {
    const { next } = started();
    next(LOST, WITHOUT_FRAME);
    assert.equal(next(LOST, WITHOUT_FRAME).probeAfterMs, 15_000);
    const probe = next({ kind: 'probe' }, LONG);
    assert.deepEqual([probe.transport, probe.delayMs], ['websocket', 0]);
    const back = next(LOST, WITHOUT_FRAME);
    assert.deepEqual([back.transport, back.probeAfterMs], ['sse', 30_000]);
  });
});

describe('refusals', () => {
  test('that do not pass stop for ever', () => {
    const error = new ApiError(403, 'account_inactive', 'Inactive.');
    const { next } = started();
    assert.deepEqual(next({ kind: 'refused', error }, WITHOUT_FRAME), { kind: 'stop', error });
  });

  test('a rejected token is renewed at once, a second time later, a fourth time not', () => {
    const error = new ApiError(401, 'token_expired', 'Token expired');
    const { next } = started();
    const end: End = { kind: 'token_rejected', error };
    const decisions = Array.from({ length: 4 }, () => next(end, WITHOUT_FRAME));
    assert.deepEqual(
      decisions.map(({ kind }) => kind as string),
      ['connect', 'connect', 'connect', 'stop'],
    );
    assert.deepEqual(
      decisions.slice(0, 3).map(({ renewToken }) => renewToken),
      [true, true, true],
    );
    assert.deepEqual([decisions[0]?.delayMs, (decisions[1]?.delayMs ?? 0) > 0], [0, true]);
  });
});
