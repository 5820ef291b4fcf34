import { ApiError, inMemoryTokens, NetworkError, SignedOutError } from '@irisflow/client';
import { describe, expect, test, vi } from 'vitest';
import { ConsentDeclinedError } from './errors';
import { createGuard } from './session-guard';

function guarding() {
  const tokens = inMemoryTokens({ access_token: 'a', refresh_token: 'r' });
  const onSignedOut = vi.fn();
  const onConsentNeeded = vi.fn(() => Promise.resolve(true));
  return { guard: createGuard({ tokens, onSignedOut, onConsentNeeded }), tokens, onSignedOut, onConsentNeeded };
}

describe('a server that requires consent', () => {
  function consenting() {
    const guarded = guarding();
    let given = false;
    const call = vi.fn(() =>
      given ? Promise.resolve('fine') : Promise.reject(new ApiError(403, 'consent_required', 'POST it')),
    );
    guarded.onConsentNeeded.mockImplementation(() => Promise.resolve((given = true)));
    return { ...guarded, call };
  }

  test('opens the consent dialog, and the call is repeated', async () => {
    const { guard, call, onConsentNeeded } = consenting();
    await expect(guard(call)).resolves.toBe('fine');
    await expect(guard(call)).resolves.toBe('fine');
    expect(onConsentNeeded).toHaveBeenCalledOnce();
  });

  test('opens the consent dialog once for concurrent calls', async () => {
    const { guard, call, onConsentNeeded } = consenting();
    await Promise.all([guard(call), guard(call)]);
    expect(onConsentNeeded).toHaveBeenCalledOnce();
  });

  test('a declined consent fails the call, and the next one asks again', async () => {
    const { guard, call, onConsentNeeded } = consenting();
    onConsentNeeded.mockResolvedValueOnce(false);
    await expect(guard(call)).rejects.toBeInstanceOf(ConsentDeclinedError);
    expect(call).toHaveBeenCalledOnce();
    await expect(guard(call)).resolves.toBe('fine');
  });

  test('that still refuses after consent is not asked again', async () => {
    const { guard, call, onConsentNeeded } = consenting();
    onConsentNeeded.mockResolvedValue(true);
    await expect(guard(call)).rejects.toMatchObject({ code: 'consent_required' });
    expect(onConsentNeeded).toHaveBeenCalledOnce();
  });

  test('a call that is aborted while the dialog is open is not repeated', async () => {
    const { guard, call } = consenting();
    const controller = new AbortController();
    const end = guard(call, controller.signal);
    controller.abort();
    await expect(end).rejects.toMatchObject({ name: 'AbortError' });
    expect(call).toHaveBeenCalledOnce();
  });
});

describe('the end of a session', () => {
  test.each([
    ['it cannot be renewed', new SignedOutError('over'), 'ended'],
    ['the renewed token is refused too', new ApiError(401, null, 'Could not validate credentials'), 'ended'],
    ['the account was switched off', new ApiError(403, 'account_inactive', 'Inactive'), 'inactive'],
    [
      'the account was switched off before a renewal',
      new SignedOutError('over', { cause: new ApiError(403, 'account_inactive', 'Inactive') }),
      'inactive',
    ],
  ])('%s', async (_, error, reason) => {
    const { guard, tokens, onSignedOut } = guarding();
    await expect(guard(() => Promise.reject(error))).rejects.toBeInstanceOf(SignedOutError);
    expect(onSignedOut).toHaveBeenCalledExactlyOnceWith(reason);
    expect(tokens.read()).toBeNull();
  });

  test('is reported once for all calls that waited for the same renewal', async () => {
    const { guard, onSignedOut } = guarding();
    const renewal = Promise.reject(new SignedOutError('over'));
    const ends = await Promise.allSettled([guard(() => renewal), guard(() => renewal)]);
    expect(ends.every(({ status }) => status === 'rejected')).toBe(true);
    expect(onSignedOut).toHaveBeenCalledOnce();
  });

  test('an outage does not end it', async () => {
    const { guard, tokens, onSignedOut } = guarding();
    await expect(guard(() => Promise.reject(new NetworkError()))).rejects.toBeInstanceOf(NetworkError);
    expect(onSignedOut).not.toHaveBeenCalled();
    expect(tokens.read()).not.toBeNull();
  });
});
