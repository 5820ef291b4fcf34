// `irisflow serve` as a child process, on a port and a folder of its own.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';

/** The program under test; a part that has none is skipped. */
export const PROGRAM = process.env['IRISFLOW_BIN'];

export class RealServer {
  url = '';
  readonly #folder: string;
  #child: ChildProcess | null = null;

  static async start(t: TestContext): Promise<RealServer> {
    const server = new RealServer(await mkdtemp(join(tmpdir(), 'irisflow-client-')));
    t.after(async () => {
      await server.stop('SIGKILL');
      await rm(server.#folder, { recursive: true });
    });
    await server.listen('127.0.0.1:0');
    return server;
  }

  private constructor(folder: string) {
    this.#folder = folder;
  }

  async listen(address: string): Promise<void> {
    const arguments_ = ['serve', '--listen', address, '--log', 'warn', '--data-dir', this.#folder];
    this.#child = spawn(PROGRAM ?? '', arguments_, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })) {
      const url = /^Irisflow is running at (.*)$/.exec(line)?.[1];
      if (url === undefined) continue;
      this.url = url;
      this.#child.stdout?.resume();
      return;
    }
    throw new Error('the server ended before it was running');
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** On the same port, with the same data. */
  async restart(): Promise<void> {
    await this.stop('SIGTERM');
    await this.listen(new URL(this.url).host);
  }
}
