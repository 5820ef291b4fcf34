import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NetworkError, type Consent } from '../../api';
import { flushPromises, passGuardTime, render } from '../../testing/component-harness';
import { fakeApi } from '../../testing/fake-api';
import { consentFixture } from '../../testing/fixtures';
import YourData from './YourData.svelte';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const withdrawn = consentFixture({ id: 'old', granted: false });
const marketing = consentFixture({ id: 'm', consent_type: 'marketing' });
const inForce = consentFixture({ id: 'c1' });

async function open(consents: Consent[]) {
  const api = fakeApi();
  api.consents.mockResolvedValue(consents);
  const props = { ondeleted: vi.fn(), onclose: vi.fn() };
  const screen = render(YourData, { api, ...props });
  await flushPromises();
  passGuardTime();
  return { api, screen, ...props };
}

test('a consent in force can be withdrawn', async () => {
  const { api, screen } = await open([marketing, withdrawn, inForce]);
  api.withdrawConsent.mockResolvedValue(undefined);
  await screen.press('Take back my agreement');
  expect(api.withdrawConsent).toHaveBeenCalledExactlyOnceWith('c1');
  expect(screen.text()).toContain('Before the next photo we ask again.');
});

test('without a consent in force there is none to withdraw', async () => {
  const { screen } = await open([marketing, withdrawn]);
  expect(screen.text()).not.toContain('Take back');
});

test('the account is deleted only after a confirmation', async () => {
  const { api, ondeleted, screen } = await open([]);
  api.deleteAccount.mockResolvedValue(undefined);
  await screen.press('Delete my account');
  passGuardTime();
  await screen.press('Keep my account');
  await screen.press('Delete my account');
  expect(api.deleteAccount).not.toHaveBeenCalled();
  passGuardTime();
  await screen.press('Yes, delete everything');
  expect(api.deleteAccount).toHaveBeenCalledOnce();
  expect(ondeleted).toHaveBeenCalledOnce();
});

test('a deletion that failed shows the error and does not sign out', async () => {
  const { api, ondeleted, screen } = await open([]);
  api.deleteAccount.mockRejectedValue(new NetworkError());
  await screen.press('Delete my account');
  passGuardTime();
  await screen.press('Yes, delete everything');
  expect(screen.one('[role=alert]').textContent).toContain('Check your connection');
  expect(ondeleted).not.toHaveBeenCalled();
});
