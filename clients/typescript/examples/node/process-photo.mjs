// Sends a photo, shows the work live, and saves the picture:
//
//   IRISFLOW_URL=http://localhost:8080 IRISFLOW_EMAIL=... IRISFLOW_PASSWORD=... \
//     node examples/node/process-photo.mjs eye.jpg iris.jpg

import { readFile, writeFile } from 'node:fs/promises';
import { IrisflowClient, JobFailedError } from '@irisflow/client';

const { IRISFLOW_URL = 'http://localhost:8080', IRISFLOW_EMAIL = '', IRISFLOW_PASSWORD = '' } = process.env;
const [source, target] = process.argv.slice(2);
const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());

const client = new IrisflowClient({ baseUrl: IRISFLOW_URL });
await client.login(IRISFLOW_EMAIL, IRISFLOW_PASSWORD);

try {
  const job = await client.process(new Blob([await readFile(source)], { type: 'image/jpeg' }), {
    signal: interrupt.signal,
    onProgress(progress) {
      if (progress.phase === 'processing') console.log(`${progress.job.progress} % ${progress.job.step}`);
    },
    onConnection({ state, reason }) {
      if (reason) console.error(`${state}: ${reason}`);
    },
  });
  const picture = await fetch(job.result_url);
  await writeFile(target, Buffer.from(await picture.arrayBuffer()));
  console.log(`saved ${target}`);
} catch (error) {
  if (!(error instanceof JobFailedError)) throw error;
  console.error(error.message, error.job.suggestion ?? '');
  process.exitCode = 1;
}
