import { expect, test, vi } from 'vitest';
import { ApiError } from '../../api';
import { quietApi, settle, show, type, type Stage } from '../../testing/stage';
import { passwordRules } from './password';
import SignIn from './SignIn.svelte';

function door({ creating = false } = {}) {
  const api = quietApi();
  const ondone = vi.fn();
  const stage = show(SignIn, { api, note: null, ondone });
  if (creating) stage.button('New here?').click();
  return { api, ondone, stage };
}

async function send(stage: Stage, email: string, password: string): Promise<void> {
  await settle();
  type(stage.one('#email'), email);
  type(stage.one('#password'), password);
  stage.one('form').dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true }));
  await settle();
}

test.each([
  ['short1A', ['8 characters or more']],
  ['lowercase1', ['a capital letter']],
  ['UPPERCASE1', ['a small letter']],
  ['NoDigitsHere', ['a digit']],
  ['', ['8 characters or more', 'a capital letter', 'a small letter', 'a digit']],
  ['Clear-Iris-7', []],
])('%j lacks %j', (password, missing) => {
  const lacking = passwordRules(password).filter((rule) => !rule.kept);
  expect(lacking.map((rule) => rule.words)).toEqual(missing);
});

test('signing in sends address and password and lets in', async () => {
  const { api, ondone, stage } = door();
  api.signIn.mockResolvedValue();
  await send(stage, ' eye@example.com ', 'whatever');
  expect(api.signIn.mock.calls[0]?.slice(0, 2)).toEqual(['eye@example.com', 'whatever']);
  expect(ondone).toHaveBeenCalledOnce();
});

test('a wrong password reads kindly', async () => {
  const { api, ondone, stage } = door();
  api.signIn.mockRejectedValue(new ApiError(401, 'wrong_credentials', 'Incorrect email or password'));
  await send(stage, 'eye@example.com', 'whatever');
  expect(stage.one('[role=alert]').textContent).toContain('Address and password do not match.');
  expect(ondone).not.toHaveBeenCalled();
});

test('the server’s own words are shown when it refuses new accounts', async () => {
  const { api, stage } = door({ creating: true });
  api.register.mockRejectedValue(new ApiError(403, 'registration_closed', 'New accounts are closed here.'));
  await send(stage, 'eye@example.com', 'Clear-Iris-7');
  expect(stage.one('[role=alert]').textContent).toContain('New accounts are closed here.');
});

test('a weak new password is answered here, without asking the server', async () => {
  const { api, stage } = door({ creating: true });
  await send(stage, 'eye@example.com', 'iris');
  expect(stage.one('[role=alert]').textContent).toContain('8 characters or more, a capital letter and a digit');
  expect(api.register).not.toHaveBeenCalled();
});

test('a new account is signed in at once', async () => {
  const { api, ondone, stage } = door({ creating: true });
  api.register.mockResolvedValue();
  api.signIn.mockResolvedValue();
  await send(stage, 'eye@example.com', 'Clear-Iris-7');
  expect(api.signIn).toHaveBeenCalledOnce();
  expect(ondone).toHaveBeenCalledOnce();
});

test('a taken address leads to signing in', async () => {
  const { api, stage } = door({ creating: true });
  api.register.mockRejectedValue(new ApiError(409, 'email_taken', 'Email already registered'));
  await send(stage, 'eye@example.com', 'Clear-Iris-7');
  expect(stage.text()).toContain('already an account');
  expect(stage.button('Sign in')).toBeTruthy();
});

test('a sign-in under way can be cancelled', async () => {
  const { api, stage } = door();
  await send(stage, 'eye@example.com', 'whatever');
  const signal = api.signIn.mock.calls[0]?.[2];
  expect(signal?.aborted).toBe(false);
  await stage.press('Cancel');
  expect(signal?.aborted).toBe(true);
});
