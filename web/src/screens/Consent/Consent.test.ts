import { expect, test, vi } from 'vitest';
import { Unreachable, type ConsentText } from '../../api';
import { quietApi, settle, show, waitForGuards } from '../../testing/stage';
import Consent from './Consent.svelte';

const text: ConsentText = {
  jurisdiction: 'gdpr',
  consent_text: 'A photo of your eye can identify you. May we work on it?',
  consent_text_version: '2026-11',
};

async function consent(prepare: (api: ReturnType<typeof quietApi>) => void) {
  const api = quietApi();
  prepare(api);
  const ondecide = vi.fn();
  const stage = show(Consent, { api, ondecide });
  await settle();
  return { api, ondecide, stage };
}

test("asks in the operator's words, and keeps which words were agreed to", async () => {
  const { api, ondecide, stage } = await consent((api) => {
    api.consentText.mockResolvedValue(text);
    api.giveConsent.mockResolvedValue(undefined);
  });
  expect(stage.text()).toContain(text.consent_text);
  waitForGuards();
  await stage.press('I agree');
  expect(api.giveConsent).toHaveBeenCalledExactlyOnceWith(text);
  expect(ondecide).toHaveBeenCalledExactlyOnceWith(true);
});

test('can be declined, also by the key that closes dialogs', async () => {
  const { api, ondecide, stage } = await consent((api) => api.consentText.mockResolvedValue(text));
  waitForGuards();
  await stage.press('Not now');
  stage.one('dialog').dispatchEvent(new Event('cancel', { cancelable: true }));
  expect(ondecide.mock.calls).toEqual([[false], [false]]);
  expect(api.giveConsent).not.toHaveBeenCalled();
});

test('the second tap of a double tap neither agrees nor declines', async () => {
  const { api, ondecide, stage } = await consent((api) => api.consentText.mockResolvedValue(text));
  await stage.press('I agree');
  await stage.press('Not now');
  expect(api.giveConsent).not.toHaveBeenCalled();
  expect(ondecide).not.toHaveBeenCalled();
});

test('nothing can be agreed to before its words are there', async () => {
  const { stage } = await consent(() => undefined);
  expect(stage.all('button').map((button) => button.textContent.trim())).toEqual(['Not now']);
});

test('words that do not come are asked for again', async () => {
  const { api, stage } = await consent((api) => api.consentText.mockRejectedValueOnce(new Unreachable()));
  expect(stage.one('[role=alert]').textContent).toContain('Check your connection');
  api.consentText.mockResolvedValue(text);
  await stage.press('Try again');
  expect(stage.button('I agree')).toBeTruthy();
});

test('an agreement that did not arrive can be given again', async () => {
  const { ondecide, stage } = await consent((api) => {
    api.consentText.mockResolvedValue(text);
    api.giveConsent.mockRejectedValueOnce(new Unreachable()).mockResolvedValueOnce(undefined);
  });
  waitForGuards();
  await stage.press('I agree');
  expect(ondecide).not.toHaveBeenCalled();
  expect(stage.one('[role=alert]').textContent).toContain('Check your connection');
  await stage.press('I agree');
  expect(ondecide).toHaveBeenCalledExactlyOnceWith(true);
});
