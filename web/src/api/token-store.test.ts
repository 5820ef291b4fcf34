import { expect, test } from 'vitest';
import { browserTokens } from './token-store';

const tokens = { access_token: 'access-1', refresh_token: 'refresh-1' };

test('tokens survive a reload', () => {
  browserTokens().write(tokens);
  expect(browserTokens().read()).toEqual(tokens);
  browserTokens().clear();
  expect(browserTokens().read()).toBeNull();
});

test('tokens work for the page when the browser refuses storage', () => {
  const store = browserTokens(() => {
    throw new Error('denied');
  });
  store.write(tokens);
  expect(store.read()).toEqual(tokens);
});

test('malformed tokens are ignored', () => {
  localStorage.setItem('irisflow.tokens', '{"access_token":7}');
  expect(browserTokens().read()).toBeNull();
});
