// How frames are understood.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventFrame, JobEvent } from '../src/frames.ts';
import { Timeline } from '../src/timeline.ts';
import type { JobState } from '../src/types.ts';

const job: JobState = {
  job_id: 'a',
  photo_id: 'p',
  batch_id: null,
  status: 'pending',
  step: 'Processing...',
  current_step: null,
  progress: 0,
  attempt_count: 0,
  updated_at: '2026-01-01T00:00:00Z',
};

function timelineWith(...jobs: JobState[]): Timeline {
  const timeline = new Timeline();
  timeline.receive({ type: 'snapshot', cursor: 'e:0', jobs });
  return timeline;
}

function event(seq: number, fields: Partial<JobEvent> = {}, prev = `e:${seq - 1}`): EventFrame {
  const base = { seq, kind: 'progress', status: 'processing', progress: seq, timestamp: 't' } as const;
  const { updated_at: _, ...rest } = job;
  return { type: 'event', cursor: `e:${seq}`, prev, event: { ...rest, ...base, ...fields } as JobEvent };
}

test('a snapshot replaces what was known', () => {
  const timeline = timelineWith(job);
  timeline.receive({ type: 'snapshot', cursor: 'e:9', jobs: [{ ...job, job_id: 'b' }] });
  assert.deepEqual([...timeline.jobs.keys()], ['b']);
  assert.equal(timeline.cursor, 'e:9');
});

test('an event changes its job, and leaves the fields that it does not name', () => {
  const timeline = timelineWith({ ...job, quality_score: 80 });
  assert.equal(timeline.receive(event(1, { progress: 40, step: 'Finding your iris...' })), 'changed');
  assert.deepEqual(
    { ...timeline.jobs.get('a') },
    { ...job, status: 'processing', progress: 40, step: 'Finding your iris...', quality_score: 80, updated_at: 't' },
  );
});

describe('dropped events', () => {
  test('an event whose prev is not the cursor is a loss, and changes nothing', () => {
    const timeline = timelineWith(job);
    assert.equal(timeline.receive(event(2)), 'lost');
    assert.equal(timeline.cursor, 'e:0');
    assert.equal(timeline.jobs.get('a')?.progress, 0);
  });

  test('merged progress is no loss: prev names the frame before on this connection', () => {
    const timeline = timelineWith(job);
    assert.equal(timeline.receive(event(7, {}, 'e:0')), 'changed');
    assert.equal(timeline.cursor, 'e:7');
  });

  test('estimates have no position and change no cursor', () => {
    const timeline = timelineWith(job);
    timeline.receive({ type: 'estimate', job_id: 'a', queue_position: 3, slower_than_usual: false });
    assert.deepEqual([timeline.cursor, timeline.jobs.get('a')?.queue_position], ['e:0', 3]);
  });
});

describe('late events', () => {
  const completed = event(1, { kind: 'completed', status: 'completed', progress: 100 });

  test('after the end of a job nothing changes it', () => {
    const timeline = timelineWith(job);
    timeline.receive(completed);
    assert.equal(timeline.receive(event(2)), 'ignored');
    assert.equal(timeline.receive({ type: 'estimate', job_id: 'a', slower_than_usual: true }), 'ignored');
    assert.equal(timeline.jobs.get('a')?.status, 'completed');
    assert.equal(timeline.cursor, 'e:2');
  });

  test('a job that ended in the snapshot stays ended', () => {
    const timeline = timelineWith({ ...job, status: 'failed' });
    assert.equal(timeline.receive(event(1)), 'ignored');
  });

  test('a lower sequence number of the same job is ignored', () => {
    const timeline = timelineWith(job);
    timeline.receive(event(5, {}, 'e:0'));
    assert.equal(timeline.receive(event(3, {}, 'e:5')), 'ignored');
    assert.equal(timeline.jobs.get('a')?.progress, 5);
  });

  test('of each order of the events of a job only the last sequence number remains', () => {
    for (const order of [
      [1, 2, 3],
      [3, 1, 2],
      [2, 3, 1],
      [3, 2, 1],
    ]) {
      const timeline = timelineWith(job);
      let prev = 'e:0';
      for (const seq of order) {
        timeline.receive(event(seq, {}, prev));
        prev = `e:${seq}`;
      }
      assert.equal(timeline.jobs.get('a')?.progress, 3, String(order));
    }
  });
});

test('a deleted job is forgotten, also after its end', () => {
  const timeline = timelineWith({ ...job, status: 'completed' });
  assert.equal(timeline.receive(event(1, { kind: 'deleted', status: 'completed' })), 'changed');
  assert.equal(timeline.jobs.size, 0);
});

test('a gap decisions the cursor, and what is known stays until its snapshot', () => {
  const timeline = timelineWith(job);
  timeline.receive({ type: 'gap', reason: 'epoch', cursor: 'f:2' });
  assert.deepEqual([timeline.jobs.size, timeline.cursor], [1, 'f:2']);
});

test('memory is bounded: of finished jobs the newest 200 are kept', () => {
  const timeline = timelineWith();
  for (let seq = 1; seq <= 500; seq += 1) {
    timeline.receive(event(seq, { job_id: `job-${seq}`, kind: 'completed', status: 'completed' }));
  }
  assert.equal(timeline.jobs.size, 200);
  assert.ok(timeline.jobs.has('job-500') && !timeline.jobs.has('job-300'));
});
