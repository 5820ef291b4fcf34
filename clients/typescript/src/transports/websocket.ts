// `GET /ws`. The token travels in the first frame, never in the URL, where logs would keep it.

import type { End } from '../connection-policy.ts';
import { parseFrame, type ClientFrame, type HelloFrame } from '../frames.ts';
import { monitorLiveness } from '../liveness.ts';
import { ABORTED, type Connect, type Link, type SocketLike } from './link.ts';

const OPEN = 1;

export const connectWebSocket: Connect = (link) => {
  if (!link.WebSocket) return Promise.resolve({ kind: 'unsupported', reason: 'this runtime has none' });
  let socket: SocketLike;
  try {
    socket = new link.WebSocket(`${link.baseUrl.replace(/^http/, 'ws')}/ws`);
  } catch (error) {
    return Promise.resolve({ kind: 'unsupported', reason: String(error) });
  }
  return new Promise((resolve) => runSocket(link, socket, resolve));
};

function runSocket(link: Link, socket: SocketLike, resolve: (end: End) => void): void {
  const send = (frame: ClientFrame) => {
    if (socket.readyState === OPEN) socket.send(JSON.stringify(frame));
  };
  const liveness = monitorLiveness(link.limits.websocket, link.wake, {
    probe: () => send({ type: 'ping' }),
    onDead: () => end({ kind: 'lost', reason: 'the server is silent' }),
  });
  const abort = () => end(ABORTED);
  link.signal.addEventListener('abort', abort);

  function end(reason: End): void {
    liveness.stop();
    link.signal.removeEventListener('abort', abort);
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    resolve(reason);
  }

  socket.onopen = () => send(hello(link));
  socket.onmessage = ({ data }: { data: unknown }) => {
    liveness.touch();
    const frame = parseFrame(data);
    if (frame?.type === 'token_expiring') {
      // If it fails, the server closes, and the next connection renews.
      link.renewToken().then(
        (token) => send({ type: 'token', token }),
        () => undefined,
      );
    }
    const reason = frame && link.receive(frame);
    if (reason) end(reason);
  };
  socket.onclose = ({ code }: { code: number }) => end(endOfClose(code));
  // `close` follows; without a listener the package `ws` would throw.
  socket.onerror = () => undefined;
}

function hello({ token, filter, cursor }: Link): HelloFrame {
  const from = cursor();
  return { type: 'hello', token, ...(from !== null && { cursor: from }), ...(filter && { filter }) };
}

/** Refusals are announced by a frame, so their close codes are not looked at. */
function endOfClose(code: number): End {
  if (code === 1012) return { kind: 'resume', reason: 'the server restarts' };
  if (code === 4408) return { kind: 'resume', reason: 'this client was too slow', inMs: 0 };
  return { kind: 'lost', reason: `closed with code ${code}` };
}
