// Runs calls of the client for a person: asks for consent where the server requires it, and notices the end of
// the session.

import { ApiError, SignedOutError, type TokenStore } from '@irisflow/client';
import { ConsentDeclinedError } from './errors';

/** Why a session has ended: it expired or was ended, or the account was switched off. */
export type SignOutReason = 'ended' | 'inactive';

export interface GuardParts {
  tokens: TokenStore;
  onSignedOut: (reason: SignOutReason) => void;
  /** Asks the person for the consent that the server requires; whether they agreed. */
  onConsentNeeded?: () => Promise<boolean>;
}

export type Guard = <Answer>(call: () => Promise<Answer>, signal?: AbortSignal) => Promise<Answer>;

export function createGuard({ tokens, onSignedOut, onConsentNeeded }: GuardParts): Guard {
  /** Shared by concurrent calls. */
  let consentRequest: Promise<boolean> | null = null;
  /** One renewal fails for all calls that wait for it, and is reported once. */
  const reported = new WeakSet<Error>();

  async function guarded<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    try {
      return await call();
    } catch (error) {
      throw signedOutBy(error) ?? error;
    }
  }

  function signedOutBy(error: unknown): SignedOutError | null {
    const refusal = error instanceof SignedOutError ? error.cause : error;
    const inactive = refusal instanceof ApiError && refusal.code === 'account_inactive';
    const refused = refusal instanceof ApiError && refusal.status === 401;
    if (!(error instanceof SignedOutError) && !inactive && !refused) return null;
    const end = error instanceof SignedOutError ? error : new SignedOutError('the session has ended', { cause: error });
    if (!reported.has(end)) {
      reported.add(end);
      tokens.clear();
      onSignedOut(inactive ? 'inactive' : 'ended');
    }
    return end;
  }

  return async (call, signal) => {
    try {
      return await guarded(call);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'consent_required' || !onConsentNeeded) throw error;
    }
    consentRequest ??= onConsentNeeded().finally(() => {
      consentRequest = null;
    });
    const agreed = await consentRequest;
    signal?.throwIfAborted();
    if (!agreed) throw new ConsentDeclinedError();
    return guarded(call);
  };
}
