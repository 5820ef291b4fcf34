// Where the session's tokens live: this browser's local storage, shared by its tabs.
// A browser that refuses storage (private windows) keeps them for this page only.

import type { Tokens } from './types';

const KEY = 'irisflow.tokens';

export interface TokenStore {
  read(): Tokens | null;
  write(tokens: Tokens): void;
  clear(): void;
}

export function browserTokens(storage: () => Storage = () => localStorage): TokenStore {
  let kept: Tokens | null = null;
  return {
    read() {
      try {
        return parse(storage().getItem(KEY));
      } catch {
        return kept;
      }
    },
    write({ access_token, refresh_token }) {
      kept = { access_token, refresh_token };
      try {
        storage().setItem(KEY, JSON.stringify(kept));
      } catch {
        // Kept in memory; a reload will ask to sign in again.
      }
    },
    clear() {
      kept = null;
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
