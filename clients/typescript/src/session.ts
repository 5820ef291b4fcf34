// The session of an account: signing in, and renewing an access token that has expired. Concurrent requests
// share one renewal.

import { ApiError, SignedOutError } from './errors.ts';
import type { Call } from './http.ts';
import type { Tokens } from './types.ts';

/**
 * Supplies the access token of a request. `rejected` is one that the server has refused or that is about to
 * expire: another one is needed. Throws `SignedOutError` when there will be none.
 */
export type Bearer = (rejected?: string) => string | Promise<string>;

export interface TokenStore {
  read(): Tokens | null;
  write(tokens: Tokens): void;
  clear(): void;
}

export function inMemoryTokens(tokens: Tokens | null = null): TokenStore {
  return {
    read: () => tokens,
    write: (written) => void (tokens = written),
    clear: () => void (tokens = null),
  };
}

type Request = <Answer>(method: string, path: string, call: Call) => Promise<Answer>;

export class Session {
  readonly store: TokenStore;
  readonly #request: Request;
  #renewal: Promise<string> | null = null;

  constructor(store: TokenStore, request: Request) {
    this.store = store;
    this.#request = request;
  }

  async login(email: string, password: string, signal?: AbortSignal): Promise<void> {
    const call = { body: { email, password }, anonymous: true, signal };
    this.#keep(await this.#request<Tokens>('POST', '/auth/login/json', call));
  }

  /** A `Bearer`. */
  bearer = (rejected?: string): string | Promise<string> => {
    const current = this.store.read();
    if (!current) throw new SignedOutError('there is no session');
    // Another request, or another tab with the same store, may have renewed it already.
    if (current.access_token !== rejected) return current.access_token;
    this.#renewal ??= this.#renew(current).finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  };

  async #renew({ refresh_token }: Tokens): Promise<string> {
    try {
      // A repeated renewal gets the same successor, so a lost answer does no harm.
      const call = { body: { refresh_token }, anonymous: true, retry: true };
      return this.#keep(await this.#request<Tokens>('POST', '/auth/refresh', call));
    } catch (error) {
      // Only a refusal ends the session; an outage does not.
      if (!(error instanceof ApiError) || ![400, 401, 403, 422].includes(error.status)) throw error;
      // Another tab was faster, or the person has signed in again meanwhile.
      const current = this.store.read();
      if (current && current.refresh_token !== refresh_token) return current.access_token;
      this.store.clear();
      throw new SignedOutError(error.message, { cause: error });
    }
  }

  #keep({ access_token, refresh_token }: Tokens): string {
    this.store.write({ access_token, refresh_token });
    return access_token;
  }
}
