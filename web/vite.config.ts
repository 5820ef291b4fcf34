// How the page is built; only what `dependencies` names takes part in it. The output must fit the server's strict
// content security policy: no inline scripts, nothing from another host.
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

const server = process.env.IRISFLOW_URL ?? 'http://127.0.0.1:8080';
const client = fileURLToPath(new URL('../clients/typescript/src/index.ts', import.meta.url));

export default defineConfig({
  plugins: [svelte()],
  // From its source, so that the page needs no build of the client.
  resolve: { alias: { '@irisflow/client': client } },
  build: { assetsInlineLimit: 0, sourcemap: false },
  server: {
    fs: { allow: ['.', '../clients/typescript/src'] },
    proxy: {
      '/api': server,
      '/ws': { target: server, ws: true },
    },
  },
});
