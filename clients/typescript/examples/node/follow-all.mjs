// Prints every change of the account's jobs. The cursor is kept in a file: a restarted script prints what it
// missed, and nothing twice.
//
//   IRISFLOW_TOKEN=... node examples/node/follow-all.mjs cursor.txt

import { readFile, writeFile } from 'node:fs/promises';
import { IrisflowClient } from '@irisflow/client';

const { IRISFLOW_URL = 'http://localhost:8080', IRISFLOW_TOKEN = '' } = process.env;
const [file] = process.argv.slice(2);
const interrupt = new AbortController();
process.once('SIGTERM', () => interrupt.abort());

const client = new IrisflowClient({ baseUrl: IRISFLOW_URL, bearer: () => IRISFLOW_TOKEN });
const cursor = await readFile(file, 'utf8').catch(() => undefined);

try {
  for await (const item of client.events({ cursor, signal: interrupt.signal })) {
    if (item.type === 'event') console.log(item.event.kind, item.event.job_id, `${item.event.progress} %`);
    if (item.type === 'snapshot') console.log('snapshot', item.jobs.length, 'jobs');
    if (item.type === 'gap') console.log('gap', item.reason);
    // After the work: what was not finished is repeated after a crash.
    if ('cursor' in item) await writeFile(file, item.cursor);
  }
} catch (error) {
  if (!interrupt.signal.aborted) throw error;
}
