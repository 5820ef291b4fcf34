import { expect, test, vi } from 'vitest';
import { Unreachable, type Consent } from '../../api';
import { quietApi, settle, show, waitForGuards } from '../../testing/stage';
import YourData from './YourData.svelte';

const withdrawnBefore: Consent = { id: 'old', consent_type: 'biometric_capture', granted: false };
const marketing: Consent = { id: 'm', consent_type: 'marketing', granted: true };
const given: Consent = { id: 'c1', consent_type: 'biometric_capture', granted: true };

async function open(consents: Consent[]) {
  const api = quietApi();
  api.consents.mockResolvedValue(consents);
  const props = { ondeleted: vi.fn(), onclose: vi.fn() };
  const stage = show(YourData, { api, ...props });
  await settle();
  waitForGuards();
  return { api, stage, ...props };
}

test('an agreement that was given can be taken back', async () => {
  const { api, stage } = await open([marketing, withdrawnBefore, given]);
  api.withdrawConsent.mockResolvedValue(undefined);
  await stage.press('Take back my agreement');
  expect(api.withdrawConsent).toHaveBeenCalledExactlyOnceWith('c1');
  expect(stage.text()).toContain('Before the next photo we ask again.');
});

test('without an agreement there is none to take back', async () => {
  const { stage } = await open([marketing, withdrawnBefore]);
  expect(stage.text()).not.toContain('Take back');
});

test('the account is deleted after a second thought only', async () => {
  const { api, ondeleted, stage } = await open([]);
  api.deleteAccount.mockResolvedValue(undefined);
  await stage.press('Delete my account');
  waitForGuards();
  await stage.press('Keep my account');
  await stage.press('Delete my account');
  expect(api.deleteAccount).not.toHaveBeenCalled();
  waitForGuards();
  await stage.press('Yes, delete everything');
  expect(api.deleteAccount).toHaveBeenCalledOnce();
  expect(ondeleted).toHaveBeenCalledOnce();
});

test('a deletion that did not arrive says so, and the account is still there', async () => {
  const { api, ondeleted, stage } = await open([]);
  api.deleteAccount.mockRejectedValue(new Unreachable());
  await stage.press('Delete my account');
  waitForGuards();
  await stage.press('Yes, delete everything');
  expect(stage.one('[role=alert]').textContent).toContain('Check your connection');
  expect(ondeleted).not.toHaveBeenCalled();
});
