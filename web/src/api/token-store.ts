// Where the tokens of the session are kept: the local storage of the browser, shared by its tabs, or
// memory where the browser refuses storage (private windows).

import type { TokenStore } from '@irisflow/client';
import type { Tokens } from './types';

const KEY = 'irisflow.tokens';

export function browserTokens(storage: () => Storage = () => localStorage): TokenStore {
  let inMemory: Tokens | null = null;
  return {
    read() {
      try {
        return parse(storage().getItem(KEY));
      } catch {
        return inMemory;
      }
    },
    write({ access_token, refresh_token }) {
      inMemory = { access_token, refresh_token };
      try {
        storage().setItem(KEY, JSON.stringify(inMemory));
      } catch {
        // Only in memory; a reload has to sign in again.
      }
    },
    clear() {
      inMemory = null;
      try {
        storage().removeItem(KEY);
      } catch {
        // Nothing was stored.
      }
    },
  };
}

function parse(text: string | null): Tokens | null {
  if (text === null) return null;
  try {
    const value = JSON.parse(text) as Partial<Tokens> | null;
    if (typeof value?.access_token !== 'string' || typeof value.refresh_token !== 'string') return null;
    return { access_token: value.access_token, refresh_token: value.refresh_token };
  } catch {
    return null;
  }
}
