// How the page is built and tested. The output must fit the server's strict
// content security policy: no inline scripts, nothing from another host.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const server = process.env.IRISFLOW_URL ?? 'http://127.0.0.1:8000';

export default defineConfig({
  plugins: [svelte()],
  // Component tests mount in a document, so they need Svelte's browser build.
  resolve: process.env.VITEST ? { conditions: ['browser'] } : {},
  build: { assetsInlineLimit: 0, sourcemap: false },
  server: {
    proxy: {
      '/api': server,
      '/ws': { target: server, ws: true },
    },
  },
  test: { environment: 'happy-dom', include: ['src/**/*.test.ts'] },
});
