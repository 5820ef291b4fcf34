// Sends one request to the server: bearer token, JSON both ways, a time limit. Concurrent requests share
// one refresh of an expired session and one request for consent.

import { texts } from '../texts';
import { ApiError, apiErrorFrom, ConsentDeclinedError, NetworkError, SignedOutError } from './errors';
import type { TokenStore } from './token-store';
import type { Tokens } from './types';
import { abortError } from './retry-delay';

const BASE = '/api/v1';
const TIME_LIMIT_MS = 30_000;

interface Call {
  body?: unknown;
  signal?: AbortSignal | undefined;
  /** Without a session, as registering and signing in. */
  anonymous?: boolean;
}

export interface Http {
  send<Answer>(method: string, path: string, call?: Call): Promise<Answer>;
  /** Renews the session, unless it already was. `stale` is the token that was refused. */
  renew(stale: string): Promise<string>;
  /** Throws `SignedOutError` without a session. */
  accessToken(): string;
  /** Ends the session on this page; returns the error to throw. */
  signOut(reason: SignOutReason): SignedOutError;
}

/** Why a session has ended: it expired or was ended, or the account was switched off. */
export type SignOutReason = 'ended' | 'inactive';

export interface HttpParts {
  fetch: typeof fetch;
  tokens: TokenStore;
  onSignedOut: (reason: SignOutReason) => void;
  /** Asks the person for the consent that the server requires; whether they agreed. */
  onConsentNeeded?: () => Promise<boolean>;
}

export function createHttp({ fetch, tokens, onSignedOut, onConsentNeeded }: HttpParts): Http {
  let refreshInFlight: Promise<string> | null = null;
  let consentRequest: Promise<boolean> | null = null;

  async function send<Answer>(method: string, path: string, call: Call = {}): Promise<Answer> {
    if (call.anonymous) return unwrap(await exchange(method, path, call, null));
    try {
      return await sendSignedIn(method, path, call);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === 'account_inactive') throw signOut('inactive');
      if (error.code !== 'consent_required' || !onConsentNeeded) throw error;
      consentRequest ??= onConsentNeeded().finally(() => {
        consentRequest = null;
      });
      if (!(await unlessAborted(consentRequest, call.signal))) throw new ConsentDeclinedError();
      return sendSignedIn(method, path, call);
    }
  }

  async function sendSignedIn<Answer>(method: string, path: string, call: Call): Promise<Answer> {
    const token = accessToken();
    const response = await exchange(method, path, call, token);
    if (response.status !== 401) return unwrap(response);
    const renewed = await unlessAborted(renew(token), call.signal);
    const replay = await exchange(method, path, call, renewed);
    if (replay.status === 401) throw signOut('ended');
    return unwrap(replay);
  }

  function accessToken(): string {
    const token = tokens.read()?.access_token;
    if (token === undefined) throw signOut('ended');
    return token;
  }

  function renew(stale: string): Promise<string> {
    // Another tab or another request may have renewed it already.
    const current = tokens.read();
    if (current && current.access_token !== stale) return Promise.resolve(current.access_token);
    refreshInFlight ??= refresh().finally(() => {
      refreshInFlight = null;
    });
    return refreshInFlight;
  }

  async function refresh(): Promise<string> {
    const current = tokens.read();
    if (!current) throw signOut('ended');
    const body = { refresh_token: current.refresh_token };
    const response = await exchange('POST', '/auth/refresh', { body }, null);
    // Only a refusal ends the session; an outage does not.
    if (response.status >= 400 && response.status < 500 && response.status !== 429) {
      const refusal: unknown = await unwrap(response).catch((error: unknown) => error);
      const inactive = refusal instanceof ApiError && refusal.code === 'account_inactive';
      throw signOut(inactive ? 'inactive' : 'ended');
    }
    const renewed = await unwrap<Tokens>(response);
    tokens.write(renewed);
    return renewed.access_token;
  }

  function signOut(reason: SignOutReason): SignedOutError {
    tokens.clear();
    onSignedOut(reason);
    return new SignedOutError();
  }

  async function exchange(method: string, path: string, call: Call, token: string | null): Promise<Response> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (token !== null) headers['authorization'] = `Bearer ${token}`;
    if (call.body !== undefined) headers['content-type'] = 'application/json';
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), TIME_LIMIT_MS);
    const cancel = () => limit.abort();
    call.signal?.addEventListener('abort', cancel, { once: true });
    if (call.signal?.aborted) limit.abort();
    try {
      const response = await fetch(`${BASE}${path}`, {
        method,
        headers,
        body: call.body === undefined ? null : JSON.stringify(call.body),
        signal: limit.signal,
      });
      // The body is read under the same limit.
      const bytes = await response.arrayBuffer();
      return new Response(carriesBody(response.status) ? bytes : null, {
        status: response.status,
        headers: response.headers,
      });
    } catch {
      if (call.signal?.aborted) throw abortError();
      throw new NetworkError();
    } finally {
      clearTimeout(timer);
      call.signal?.removeEventListener('abort', cancel);
    }
  }

  return { send, renew, accessToken, signOut };
}

function carriesBody(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304;
}

async function unwrap<Answer>(response: Response): Promise<Answer> {
  const text = await response.text();
  let body: unknown = null;
  try {
    body = text === '' ? null : JSON.parse(text);
  } catch {
    if (response.ok) throw new ApiError(response.status, null, texts.errors.unreadableAnswer);
  }
  if (!response.ok) throw apiErrorFrom(response.status, body, response.headers.get('retry-after'));
  return body as Answer;
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const cancel = () => reject(abortError());
    if (signal.aborted) cancel();
    signal.addEventListener('abort', cancel, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', cancel));
  });
}
