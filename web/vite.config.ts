// How the page is built; only what `dependencies` names takes part in it. The output must fit the server's strict
// content security policy: no inline scripts, nothing from another host.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

const server = process.env.IRISFLOW_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte()],
  build: { assetsInlineLimit: 0, sourcemap: false },
  server: {
    proxy: {
      '/api': server,
      '/ws': { target: server, ws: true },
    },
  },
});
