// What the package promises as a whole: its size, and that it needs nothing at run time.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';

/** What a bundler ships to a browser. */
function bundle(entry: string): Buffer {
  const { outputFiles } = buildSync({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: ['react'],
    write: false,
  });
  const [output] = outputFiles;
  assert.ok(output);
  return Buffer.from(output.contents);
}

test('the client with both user interface entries is smaller than 12 KB compressed', () => {
  const entries = ['index', 'react', 'svelte'];
  const sizes = entries.map((entry) => gzipSync(bundle(`dist/${entry}.js`), { level: 9 }).length);
  console.log(`compressed bytes: ${entries.map((entry, index) => `${entry} ${sizes[index]}`).join(', ')}`);
  assert.ok(sizes.reduce((sum, size) => sum + size) < 12 * 1024);
});

test('there are no dependencies at run time, and only the React entry imports React', () => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies?: object };
  assert.equal(manifest.dependencies, undefined);
  assert.doesNotMatch(bundle('dist/index.js').toString(), /\bfrom\s*"[^."]/);
});

test('docs/guarantees.md names tests that exist', () => {
  const guarantees = readFileSync('../../docs/guarantees.md', 'utf8');
  const section = /### The TypeScript client\n(.*?)\n##/s.exec(guarantees)?.[1] ?? '';
  const named = Array.from(section.matchAll(/\*([^*]+)\*/g), ([, name = '']) => name);
  const sources = readdirSync('test').map((file) => readFileSync(`test/${file}`, 'utf8'));
  assert.ok(named.length > 20);
  for (const name of named) assert.ok(sources.some((source) => source.includes(`test('${name}'`)), name);
});
