// A server in this process with the live transports, the session and the jobs of Irisflow, and with every way of
// misbehaving that tests need. Real sockets, on a port of their own.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { WebSocketServer, type WebSocket } from 'ws';
import type { ClientFrame, Filter, HelloFrame, JobEvent } from '../src/frames.ts';
import type { JobState } from '../src/types.ts';
import { isFinal } from '../src/types.ts';

/** One open stream to a client. */
interface Connection {
  transport: 'websocket' | 'sse';
  filter: Filter | null;
  prev: string;
  send(frame: object): void;
  close(code?: number): void;
  /** Ends the connection without a close frame. */
  cut(): void;
}

interface SeenRequest {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
}

type Answer = { status: number; body?: unknown; headers?: Record<string, string> };

export class FakeServer {
  readonly requests: SeenRequest[] = [];
  readonly hellos: HelloFrame[] = [];
  readonly clientFrames: ClientFrame[] = [];
  readonly connections = new Set<Connection>();
  readonly jobs = new Map<string, JobState>();
  readonly events: JobEvent[] = [];
  epoch = 'e1';
  /** Events below are pruned. */
  floor = 0;
  validTokens = new Set(['token-1']);
  /** As a proxy that does not pass on upgrades. */
  stripsUpgrades = false;
  /** As a proxy that collects an answer before it passes it on. */
  buffers = false;
  /** Accepts connections and says nothing. */
  stalls = false;
  /** Neither answers probes nor sends pings. */
  isDead = false;
  hasSse = true;
  /** Sent instead of the first frame. */
  refusal: { frame: object; closeCode: number } | null = null;
  ssePingMs = 50;
  readonly #http: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<() => void>();
  /** Answers of plain requests, by `METHOD /path`. */
  readonly routes = new Map<string, (request: SeenRequest) => Answer | Promise<Answer>>();

  static async start(t: TestContext): Promise<FakeServer> {
    const server = new FakeServer();
    await server.listen();
    t.after(() => server.stop());
    return server;
  }

  constructor() {
    this.#http = createServer((request, response) => void this.#answer(request, response));
    this.#http.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    this.#http.on('upgrade', (request, socket, head) => {
      this.requests.push({ method: 'GET', url: request.url ?? '', headers: request.headers, body: '' });
      if (this.stripsUpgrades) return void socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
      sockets.handleUpgrade(request, socket, head, (accepted) => this.#serveSocket(accepted));
    });
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#http.listen(port, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#http.close(() => resolve()));
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get cursor(): string {
    return `${this.epoch}:${this.events.length}`;
  }

  count(path: string): number {
    return this.requests.filter(({ url }) => url.startsWith(path)).length;
  }

  /** Commits a change of a job and sends it. */
  emit(kind: JobEvent['kind'], jobId: string, fields: Partial<JobEvent> = {}): JobEvent {
    const before = this.jobs.get(jobId);
    const status = { queued: 'pending', progress: 'processing', retrying: 'processing' }[kind as string] ?? kind;
    const event: JobEvent = {
      seq: this.events.length + 1,
      kind,
      job_id: jobId,
      photo_id: 'photo',
      batch_id: null,
      status,
      step: 'Processing...',
      current_step: 'loading',
      progress: kind === 'completed' ? 100 : (before?.progress ?? 0),
      attempt_count: 0,
      timestamp: new Date(this.events.length * 1000).toISOString(),
      previews: [],
      ...fields,
    };
    this.events.push(event);
    const { seq: _, kind: __, timestamp, ...state } = event;
    if (kind === 'deleted') this.jobs.delete(jobId);
    else this.jobs.set(jobId, { ...before, ...state, updated_at: timestamp, slower_than_usual: false } as JobState);
    for (const connection of this.connections) this.#sendEvent(connection, event);
    for (const wake of this.#waiting) wake();
    return event;
  }

  sendAll(frame: object): void {
    for (const connection of this.connections) connection.send(frame);
  }

  cutAll(): void {
    for (const connection of this.connections) connection.cut();
  }

  closeAll(code: number): void {
    for (const connection of this.connections) connection.close(code);
  }

  snapshot(): object {
    return { type: 'snapshot', cursor: this.cursor, jobs: [...this.jobs.values()] };
  }

  #sendEvent(connection: Connection, event: JobEvent): void {
    if (this.isDead) return;
    const { filter } = connection;
    if (filter?.job_ids && !filter.job_ids.includes(event.job_id)) return;
    const cursor = `${this.epoch}:${event.seq}`;
    connection.send({ type: 'event', cursor, prev: connection.prev, event });
    connection.prev = cursor;
  }

  /** The first frames of a connection. */
  #begin(connection: Connection, cursor: string | null): void {
    if (this.stalls) return;
    if (this.refusal) {
      connection.send(this.refusal.frame);
      connection.close(this.refusal.closeCode);
      return;
    }
    this.connections.add(connection);
    const gap = cursor === null ? null : this.#gapAt(cursor);
    if (gap) connection.send({ type: 'gap', reason: gap, cursor: this.cursor });
    if (cursor === null || gap) {
      connection.send(this.snapshot());
      connection.prev = this.cursor;
      return;
    }
    connection.send({ type: 'resumed', cursor });
    connection.prev = cursor;
    for (const event of this.events.slice(Number(cursor.split(':')[1]))) this.#sendEvent(connection, event);
  }

  #gapAt(cursor: string): string | null {
    const [epoch, seq] = cursor.split(':');
    if (seq === undefined) return 'invalid';
    if (epoch !== this.epoch) return 'epoch';
    if (Number(seq) > this.events.length) return 'ahead';
    return Number(seq) < this.floor ? 'pruned' : null;
  }

  #serveSocket(socket: WebSocket): void {
    const connection: Connection = {
      transport: 'websocket',
      filter: null,
      prev: '',
      send: (frame) => socket.send(JSON.stringify(frame)),
      close: (code) => socket.close(code ?? 1000),
      cut: () => socket.terminate(),
    };
    socket.on('close', () => this.connections.delete(connection));
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as ClientFrame;
      this.clientFrames.push(frame);
      if (this.isDead) return;
      if (frame.type === 'ping') connection.send({ type: 'pong' });
      if (frame.type === 'token') connection.send({ type: 'token_accepted', expires_in_ms: 60_000 });
      if (frame.type !== 'hello') return;
      this.hellos.push(frame);
      if (!this.validTokens.has(frame.token ?? '')) {
        connection.send({ type: 'error', error: 'Token expired', detail: 'Sign in again.', code: 'token_expired' });
        connection.close(1008);
        return;
      }
      connection.filter = frame.filter ?? null;
      this.#begin(connection, frame.cursor ?? null);
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const seen: SeenRequest = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    };
    this.requests.push(seen);
    const url = new URL(seen.url, this.url);
    const route = this.routes.get(`${seen.method} ${url.pathname}`);
    if (route) return sendJson(response, await route(seen));
    if (!this.validTokens.has(seen.headers.authorization?.replace('Bearer ', '') ?? '')) {
      return sendJson(response, { status: 401, body: { detail: 'Token expired', code: 'token_expired' } });
    }
    if (url.pathname === '/api/v1/events') return this.#serveEvents(seen, url.searchParams, response);
    const job = this.jobs.get(url.pathname.replace('/api/v1/processing/jobs/', ''));
    if (job) return sendJson(response, { status: 200, body: job });
    sendJson(response, { status: 404, body: { detail: 'Not found', code: 'not_found' } });
  }

  #serveEvents(seen: SeenRequest, query: URLSearchParams, response: ServerResponse): void {
    const filter = query.has('job_id') ? { job_ids: (query.get('job_id') ?? '').split(',') } : null;
    if (seen.headers.accept !== 'text/event-stream') return this.#servePoll(query, filter, response);
    if (!this.hasSse) return sendJson(response, { status: 404, body: { detail: 'Not found', code: 'not_found' } });
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    const write = (text: string) => {
      if (!this.buffers && !this.isDead) response.write(text);
    };
    response.flushHeaders();
    const pings = setInterval(() => write(': ping\n\n'), this.ssePingMs);
    const connection: Connection = {
      transport: 'sse',
      filter,
      prev: '',
      send: (frame) => write(`event: ${(frame as { type: string }).type}\ndata: ${JSON.stringify(frame)}\n\n`),
      close: () => response.end(),
      cut: () => response.destroy(),
    };
    response.on('close', () => {
      clearInterval(pings);
      this.connections.delete(connection);
    });
    write('retry: 1000\n\n');
    this.#begin(connection, query.get('cursor'));
  }

  #servePoll(query: URLSearchParams, filter: Filter | null, response: ServerResponse): void {
    const frames: object[] = [];
    const collector: Connection = {
      transport: 'sse',
      filter,
      prev: '',
      send: (frame) => frames.push(frame),
      close: () => undefined,
      cut: () => undefined,
    };
    this.#begin(collector, query.get('cursor'));
    this.connections.delete(collector);
    const reply = () => sendJson(response, { status: 200, body: { cursor: this.cursor, frames } });
    const wait = Number(query.get('wait') ?? 25);
    if (frames.length > 1 || wait === 0 || !query.has('cursor')) return reply();
    const end = () => {
      clearTimeout(timer);
      this.#waiting.delete(end);
      frames.length = 0;
      this.#begin(collector, query.get('cursor'));
      this.connections.delete(collector);
      reply();
    };
    const timer = setTimeout(end, wait * 1000);
    this.#waiting.add(end);
    response.on('close', () => {
      clearTimeout(timer);
      this.#waiting.delete(end);
    });
  }

  isFinal(jobId: string): boolean {
    return isFinal(this.jobs.get(jobId)?.status ?? '');
  }
}

function sendJson(response: ServerResponse, { status, body, headers = {} }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
