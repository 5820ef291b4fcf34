import { describe, expect, test, vi } from 'vitest';
import { errorTextOf } from './error-text';
import { ApiError, ConsentDeclinedError, isAbort, NetworkError, SignedOutError } from './errors';
import { createHttp } from './http';
import { browserTokens, type TokenStore } from './token-store';
import type { Tokens } from './types';

interface Request {
  path: string;
  bearer: string | null;
  body: unknown;
}

/** A server with one valid access token. */
function createServer({ valid = 'access-2' } = {}) {
  const requests: Request[] = [];
  const server = {
    requests,
    valid,
    refreshAnswers: (): Response | Promise<Response> =>
      json(200, { access_token: valid, refresh_token: 'refresh-2', token_type: 'bearer' }),
    answers: (_: Request): Response | Promise<Response> => json(200, { fine: true }),
    fetch: (async (url: string, init: RequestInit) => {
      const headers = new Headers(init.headers);
      const request: Request = {
        path: url.replace('/api/v1', ''),
        bearer: headers.get('authorization')?.replace('Bearer ', '') ?? null,
        body: typeof init.body === 'string' ? JSON.parse(init.body) : null,
      };
      requests.push(request);
      if (init.signal?.aborted) throw new DOMException('aborted', 'AbortError');
      if (request.path === '/auth/refresh') return server.refreshAnswers();
      if (request.bearer !== server.valid) return json(401, { detail: 'Token expired', code: 'token_expired' });
      return server.answers(request);
    }) as unknown as typeof fetch,
    refreshCount: () => requests.filter(({ path }) => path === '/auth/refresh').length,
  };
  return server;
}

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status });
}

function tokensWith(tokens: Tokens | null): TokenStore {
  let stored = tokens;
  return { read: () => stored, write: (written) => (stored = written), clear: () => (stored = null) };
}

const expired = { access_token: 'access-1', refresh_token: 'refresh-1' };

function clientOf(server: ReturnType<typeof createServer>, tokens = tokensWith(expired)) {
  const onSignedOut = vi.fn();
  const onConsentNeeded = vi.fn(() => Promise.resolve(true));
  const http = createHttp({ fetch: server.fetch, tokens, onSignedOut, onConsentNeeded });
  return { http, tokens, onSignedOut, onConsentNeeded };
}

describe('an expired session', () => {
  test('concurrent calls share one refresh and are all replayed', async () => {
    const server = createServer();
    const { http } = clientOf(server);
    const answers = await Promise.all(['/a', '/b', '/c', '/d'].map((path) => http.send('GET', path)));
    expect(answers).toEqual(Array(4).fill({ fine: true }));
    expect(server.refreshCount()).toBe(1);
    const replayed = server.requests.filter(({ bearer }) => bearer === 'access-2').map(({ path }) => path);
    expect(replayed.sort()).toEqual(['/a', '/b', '/c', '/d']);
  });

  test('both new tokens are stored', async () => {
    const server = createServer();
    const { http, tokens } = clientOf(server);
    await http.send('GET', '/a');
    expect(tokens.read()).toMatchObject({ access_token: 'access-2', refresh_token: 'refresh-2' });
  });

  test('a request refused after another tab renewed the session uses the new token without another refresh', async () => {
    const server = createServer();
    const { http, tokens } = clientOf(server);
    const fetchOnce = http.send('GET', '/slow');
    // Another tab writes its new token while our call is under way.
    tokens.write({ access_token: 'access-2', refresh_token: 'refresh-2' });
    await fetchOnce;
    expect(server.refreshCount()).toBe(0);
  });

  test('a refused refresh ends the session once, for all concurrent requests', async () => {
    const server = createServer();
    server.refreshAnswers = () => json(401, { detail: 'Invalid token', code: 'invalid_token' });
    const { http, tokens, onSignedOut } = clientOf(server);
    const ends = await Promise.allSettled([http.send('GET', '/a'), http.send('GET', '/b')]);
    expect(ends.map((end) => end.status === 'rejected' && end.reason instanceof SignedOutError)).toEqual([true, true]);
    expect(tokens.read()).toBeNull();
    expect(onSignedOut).toHaveBeenCalledOnce();
  });

  test('a refresh that fails on the network keeps the session', async () => {
    const server = createServer();
    server.refreshAnswers = () => {
      throw new TypeError('network');
    };
    const { http, tokens, onSignedOut } = clientOf(server);
    await expect(http.send('GET', '/a')).rejects.toBeInstanceOf(NetworkError);
    expect(tokens.read()).toEqual(expired);
    expect(onSignedOut).not.toHaveBeenCalled();
    server.refreshAnswers = () => json(200, { access_token: 'access-2', refresh_token: 'refresh-2' });
    await expect(http.send('GET', '/a')).resolves.toEqual({ fine: true });
  });

  test('a replay that is refused again ends the session instead of looping', async () => {
    const server = createServer();
    server.answers = () => json(401, { detail: 'Could not validate credentials' });
    const { http } = clientOf(server);
    await expect(http.send('GET', '/a')).rejects.toBeInstanceOf(SignedOutError);
    expect(server.requests).toHaveLength(3);
  });
});

const fresh = () => tokensWith({ access_token: 'access-2', refresh_token: 'refresh-2' });

describe('a server that requires consent', () => {
  function consenting() {
    const server = createServer();
    let given = false;
    server.answers = () => (given ? json(200, { fine: true }) : json(403, { detail: 'POST it', code: 'consent_required' }));
    const client = clientOf(server, fresh());
    client.onConsentNeeded.mockImplementation(() => Promise.resolve((given = true)));
    return { server, ...client };
  }

  test('opens the consent dialog, and the request is repeated', async () => {
    const { http, onConsentNeeded } = consenting();
    await expect(http.send('POST', '/photos/upload')).resolves.toEqual({ fine: true });
    await expect(http.send('POST', '/processing/submit')).resolves.toEqual({ fine: true });
    expect(onConsentNeeded).toHaveBeenCalledOnce();
  });

  test('opens the consent dialog once for concurrent requests', async () => {
    const { http, onConsentNeeded } = consenting();
    await Promise.all([http.send('POST', '/a'), http.send('POST', '/b')]);
    expect(onConsentNeeded).toHaveBeenCalledOnce();
  });

  test('a declined consent fails the request, and the next one asks again', async () => {
    const { http, onConsentNeeded, server } = consenting();
    onConsentNeeded.mockResolvedValueOnce(false);
    await expect(http.send('POST', '/a')).rejects.toBeInstanceOf(ConsentDeclinedError);
    expect(server.requests).toHaveLength(1);
    await expect(http.send('POST', '/a')).resolves.toEqual({ fine: true });
  });

  test('that still refuses after consent is not asked again', async () => {
    const { http, onConsentNeeded } = consenting();
    onConsentNeeded.mockResolvedValue(true);
    await expect(http.send('POST', '/a')).rejects.toMatchObject({ code: 'consent_required' });
    expect(onConsentNeeded).toHaveBeenCalledOnce();
  });
});

describe('an account that was switched off', () => {
  const inactive = () => json(403, { detail: 'User account is inactive', code: 'account_inactive' });

  test('is signed out by any call', async () => {
    const server = createServer();
    server.answers = inactive;
    const { http, onSignedOut, tokens } = clientOf(server, fresh());
    await expect(http.send('GET', '/a')).rejects.toBeInstanceOf(SignedOutError);
    expect(onSignedOut).toHaveBeenCalledExactlyOnceWith('inactive');
    expect(tokens.read()).toBeNull();
  });

  test('is signed out by a refresh that is refused for it', async () => {
    const server = createServer();
    server.refreshAnswers = inactive;
    const { http, onSignedOut } = clientOf(server);
    await expect(http.send('GET', '/a')).rejects.toBeInstanceOf(SignedOutError);
    expect(onSignedOut).toHaveBeenCalledExactlyOnceWith('inactive');
  });
});

describe('errors', () => {
  test('carry code, message and suggestion', async () => {
    const server = createServer();
    server.answers = () =>
      json(415, { detail: 'HEIC is not read here.', code: 'unsupported_format', suggestion: 'Send a JPEG.' });
    const { http } = clientOf(server, fresh());
    const error = await http.send('POST', '/photos/1/confirm', { body: {} }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status: 415,
      code: 'unsupported_format',
      message: 'HEIC is not read here.',
      suggestion: 'Send a JPEG.',
    });
  });

  test.each([
    ['too_many_attempts', '40', 'Please try again in 40 seconds.'],
    ['too_many_attempts', '150', 'Please try again in 3 minutes.'],
    ['busy', '1', 'Wait a moment, then try again.'],
    ['unavailable', null, 'Wait a moment, then try again.'],
  ])('%s with Retry-After %s reads: %s', async (code, retryAfter, suggestion) => {
    const server = createServer();
    const headers = new Headers(retryAfter === null ? {} : { 'retry-after': retryAfter });
    server.answers = () => new Response(JSON.stringify({ detail: 'For programs.', code }), { status: 503, headers });
    const { http } = clientOf(server, fresh());
    const error: unknown = await http.send('POST', '/x').catch((caught: unknown) => caught);
    expect(errorTextOf(error).suggestion).toBe(suggestion);
  });

  test('the messages of validation issues are joined', async () => {
    const server = createServer();
    server.answers = () => json(422, { detail: [{ loc: ['body'], msg: 'Too short.', type: 'x' }, { msg: 'No digit.' }] });
    const { http } = clientOf(server, fresh());
    await expect(http.send('POST', '/x')).rejects.toThrow('Too short. No digit.');
  });

  test('an error page of a proxy gets a text by its status', async () => {
    const server = createServer();
    server.answers = () => new Response('<html>502</html>', { status: 502 });
    const { http } = clientOf(server, fresh());
    await expect(http.send('GET', '/x')).rejects.toThrow('Please try again later.');
  });

  test('a wrong password does not try to refresh', async () => {
    const server = createServer();
    const { http } = clientOf(server, tokensWith(null));
    const call = { body: { email: 'a@b', password: 'x' }, anonymous: true };
    await expect(http.send('POST', '/auth/login/json', call)).rejects.toMatchObject({ status: 401 });
    expect(server.refreshCount()).toBe(0);
  });

  test('an answer without a body is null', async () => {
    const server = createServer();
    server.answers = () => new Response(null, { status: 204 });
    const { http } = clientOf(server, fresh());
    await expect(http.send('DELETE', '/photos/1')).resolves.toBeNull();
  });
});

test('an aborted request rejects at once, also while it waits for the refresh', async () => {
  const server = createServer();
  let answerRefresh = (_: Response): void => undefined;
  server.refreshAnswers = () => new Promise((resolve) => (answerRefresh = resolve));
  const { http, onSignedOut } = clientOf(server);
  const controller = new AbortController();
  const aborted = http.send('GET', '/a', { signal: controller.signal });
  const other = http.send('GET', '/b');
  await vi.waitFor(() => expect(server.refreshCount()).toBe(1));
  controller.abort();
  expect(isAbort(await aborted.catch((error: unknown) => error))).toBe(true);
  answerRefresh(json(200, { access_token: 'access-2', refresh_token: 'refresh-2' }));
  await expect(other).resolves.toEqual({ fine: true });
  expect(onSignedOut).not.toHaveBeenCalled();
});

describe('stored tokens', () => {
  test('survive a reload', () => {
    browserTokens().write(expired);
    expect(browserTokens().read()).toEqual(expired);
    browserTokens().clear();
    expect(browserTokens().read()).toBeNull();
  });

  test('work for the page when the browser refuses storage', () => {
    const tokens = browserTokens(() => {
      throw new Error('denied');
    });
    tokens.write(expired);
    expect(tokens.read()).toEqual(expired);
  });

  test('are ignored when they are malformed', () => {
    localStorage.setItem('irisflow.tokens', '{"access_token":7}');
    expect(browserTokens().read()).toBeNull();
  });
});
