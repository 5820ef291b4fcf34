import { expect, test, vi } from 'vitest';
import { ApiError } from '../../api';
import { flushPromises, render, type, type Rendered } from '../../testing/component-harness';
import { fakeApi } from '../../testing/fake-api';
import { passwordRules } from './password-rules';
import SignIn from './SignIn.svelte';

function renderSignIn({ creating = false } = {}) {
  const api = fakeApi();
  const ondone = vi.fn();
  const screen = render(SignIn, { api, note: null, ondone });
  if (creating) screen.button('New here?').click();
  return { api, ondone, screen };
}

async function send(screen: Rendered, email: string, password: string): Promise<void> {
  await flushPromises();
  type(screen.one('#email'), email);
  type(screen.one('#password'), password);
  screen.one('form').dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true }));
  await flushPromises();
}

test.each([
  ['short1A', ['length']],
  ['lowercase1', ['upperCase']],
  ['UPPERCASE1', ['lowerCase']],
  ['NoDigitsHere', ['digit']],
  ['', ['length', 'upperCase', 'lowerCase', 'digit']],
  ['Clear-Iris-7', []],
])('%j lacks %j', (password, missing) => {
  const lacking = passwordRules(password).filter((rule) => !rule.met);
  expect(lacking.map((rule) => rule.name)).toEqual(missing);
});

test('signing in sends address and password', async () => {
  const { api, ondone, screen } = renderSignIn();
  api.signIn.mockResolvedValue();
  await send(screen, ' eye@example.com ', 'whatever');
  expect(api.signIn.mock.calls[0]?.slice(0, 2)).toEqual(['eye@example.com', 'whatever']);
  expect(ondone).toHaveBeenCalledOnce();
});

test('a wrong password shows the text of the page, not of the server', async () => {
  const { api, ondone, screen } = renderSignIn();
  api.signIn.mockRejectedValue(new ApiError(401, 'wrong_credentials', 'Incorrect email or password'));
  await send(screen, 'eye@example.com', 'whatever');
  expect(screen.one('[role=alert]').textContent).toContain('Address and password do not match.');
  expect(ondone).not.toHaveBeenCalled();
});

test('a refused registration shows the reason of the server', async () => {
  const { api, screen } = renderSignIn({ creating: true });
  api.register.mockRejectedValue(new ApiError(403, 'registration_closed', 'New accounts are closed here.'));
  await send(screen, 'eye@example.com', 'Clear-Iris-7');
  expect(screen.one('[role=alert]').textContent).toContain('New accounts are closed here.');
});

test('a weak new password is rejected without a request', async () => {
  const { api, screen } = renderSignIn({ creating: true });
  await send(screen, 'eye@example.com', 'iris');
  expect(screen.one('[role=alert]').textContent).toContain('8 characters or more, a capital letter and a digit');
  expect(api.register).not.toHaveBeenCalled();
});

test('a new account is signed in at once', async () => {
  const { api, ondone, screen } = renderSignIn({ creating: true });
  api.register.mockResolvedValue();
  api.signIn.mockResolvedValue();
  await send(screen, 'eye@example.com', 'Clear-Iris-7');
  expect(api.signIn).toHaveBeenCalledOnce();
  expect(ondone).toHaveBeenCalledOnce();
});

test('an address that is taken switches to signing in', async () => {
  const { api, screen } = renderSignIn({ creating: true });
  api.register.mockRejectedValue(new ApiError(409, 'email_taken', 'Email already registered'));
  await send(screen, 'eye@example.com', 'Clear-Iris-7');
  expect(screen.text()).toContain('already an account');
  expect(screen.button('Sign in')).toBeTruthy();
});

test('a running sign-in can be cancelled', async () => {
  const { api, screen } = renderSignIn();
  await send(screen, 'eye@example.com', 'whatever');
  const signal = api.signIn.mock.calls[0]?.[2];
  expect(signal?.aborted).toBe(false);
  await screen.press('Cancel');
  expect(signal?.aborted).toBe(true);
});
