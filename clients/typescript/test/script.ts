// Scripts as child processes, and folders for their files.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export interface Script {
  output(): string;
  process: ChildProcess;
  ended: Promise<number | null>;
}

export function run(t: TestContext, program: string, args: string[], env: Record<string, string>): Script {
  const script = spawn(program, args, { env: { ...process.env, ...env } });
  let text = '';
  script.stdout.on('data', (piece) => (text += String(piece)));
  script.stderr.on('data', (piece) => (text += String(piece)));
  t.after(() => script.kill('SIGKILL'));
  const ended = new Promise<number | null>((resolve) => script.on('close', (code) => resolve(code)));
  return { output: () => text, process: script, ended };
}

/** Removed at the end of the test. */
export async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'irisflow-examples-'));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

/** The reason to skip a test that needs these programs. */
export function missing(...programs: string[]): string | false {
  const absent = programs.filter((program) => spawnSync(program, ['--version']).status !== 0);
  return absent.length > 0 && `${absent.join(', ')} not installed`;
}
