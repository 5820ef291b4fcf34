import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NetworkError, type ConsentText } from '../../api';
import { flushPromises, passGuardTime, render } from '../../testing/component-harness';
import { fakeApi } from '../../testing/fake-api';
import Consent from './Consent.svelte';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const text: ConsentText = {
  jurisdiction: 'gdpr',
  consent_text: 'A photo of your eye can identify you. May we work on it?',
  consent_text_version: '2026-11',
};

async function renderConsent(prepare: (api: ReturnType<typeof fakeApi>) => void) {
  const api = fakeApi();
  prepare(api);
  const ondecide = vi.fn();
  const screen = render(Consent, { api, ondecide });
  await flushPromises();
  return { api, ondecide, screen };
}

test("shows the operator's text, and records the version that was agreed to", async () => {
  const { api, ondecide, screen } = await renderConsent((api) => {
    api.consentText.mockResolvedValue(text);
    api.giveConsent.mockResolvedValue(undefined);
  });
  expect(screen.text()).toContain(text.consent_text);
  passGuardTime();
  await screen.press('I agree');
  expect(api.giveConsent).toHaveBeenCalledExactlyOnceWith(text);
  expect(ondecide).toHaveBeenCalledExactlyOnceWith(true);
});

test('can be declined, also with Escape', async () => {
  const { api, ondecide, screen } = await renderConsent((api) => api.consentText.mockResolvedValue(text));
  passGuardTime();
  await screen.press('Not now');
  screen.one('dialog').dispatchEvent(new Event('cancel', { cancelable: true }));
  expect(ondecide.mock.calls).toEqual([[false], [false]]);
  expect(api.giveConsent).not.toHaveBeenCalled();
});

test('the second tap of a double tap neither agrees nor declines', async () => {
  const { api, ondecide, screen } = await renderConsent((api) => api.consentText.mockResolvedValue(text));
  await screen.press('I agree');
  await screen.press('Not now');
  expect(api.giveConsent).not.toHaveBeenCalled();
  expect(ondecide).not.toHaveBeenCalled();
});

test('cannot be agreed to before the text is shown', async () => {
  const { screen } = await renderConsent(() => undefined);
  expect(screen.all('button').map((button) => button.textContent.trim())).toEqual(['Not now']);
});

test('a text that could not be loaded can be loaded again', async () => {
  const { api, screen } = await renderConsent((api) => api.consentText.mockRejectedValueOnce(new NetworkError()));
  expect(screen.one('[role=alert]').textContent).toContain('Check your connection');
  api.consentText.mockResolvedValue(text);
  await screen.press('Try again');
  expect(screen.button('I agree')).toBeTruthy();
});

test('a consent that could not be sent can be sent again', async () => {
  const { ondecide, screen } = await renderConsent((api) => {
    api.consentText.mockResolvedValue(text);
    api.giveConsent.mockRejectedValueOnce(new NetworkError()).mockResolvedValueOnce(undefined);
  });
  passGuardTime();
  await screen.press('I agree');
  expect(ondecide).not.toHaveBeenCalled();
  expect(screen.one('[role=alert]').textContent).toContain('Check your connection');
  await screen.press('I agree');
  expect(ondecide).toHaveBeenCalledExactlyOnceWith(true);
});
