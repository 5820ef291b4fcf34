// Baseline of `cargo xtask bench watch`: Socket.IO with connection state recovery. A room per account, events in
// memory only: no job, no database, no token. Commands are lines on standard input, each answered by a line.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'], connectionStateRecovery: {} });
io.on('connection', (socket) => socket.join(`account-${socket.handshake.query.account}`));
http.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${http.address().port}`));

/** As large as an event of ours. */
const EVENT = {
  kind: 'progress',
  job_id: '7d0c8f3e-0000-4000-8000-000000000001',
  photo_id: '7d0c8f3e-0000-4000-8000-000000000002',
  batch_id: null,
  status: 'processing',
  step: 'Finding your iris...',
  current_step: 'segmenting',
  progress: 20,
  attempt_count: 0,
  timestamp: '2026-05-04T10:00:00.000Z',
};

/** `rate` events a second, of the accounts in turn; `at` is in nanoseconds of the machine's monotonic clock. */
async function produce(accounts, rate, seconds) {
  const begun = performance.now();
  for (let seq = 0; seq < rate * seconds; ) {
    const due = Math.min(rate * seconds, ((performance.now() - begun) / 1000) * rate);
    for (; seq < due; seq += 1) {
      const at = String(process.hrtime.bigint());
      io.to(`account-${seq % accounts}`).emit('event', { ...EVENT, seq, at });
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [, accounts, rate, seconds] = line.split(' ').map(Number);
  await produce(accounts, rate, seconds);
  console.log('done');
}
process.exit();
