// Folds frames into the present state of the jobs. No clock and no network.

import type { EstimateFrame, EventFrame, JobEvent, TimelineFrame } from './frames.ts';
import { isFinal, type JobState } from './types.ts';

/** Finished jobs beyond this number are forgotten, the earliest first. */
const MAX_FINISHED = 200;

/** What a frame did: `lost` means that frames before it are missing, and that it was not applied. */
export type Effect = 'changed' | 'ignored' | 'lost';

export class Timeline {
  /** The position up to which everything was received. Opaque. */
  cursor: string | null;
  /** Whether `jobs` began with a snapshot, or holds only what events since the first cursor said. */
  complete = false;
  readonly jobs = new Map<string, JobState>();
  readonly #newestSeq = new Map<string, number>();

  constructor(cursor: string | null = null) {
    this.cursor = cursor;
  }

  receive(frame: TimelineFrame): Effect {
    switch (frame.type) {
      case 'event':
        return this.#receiveEvent(frame);
      case 'estimate':
        return this.#receiveEstimate(frame);
      case 'snapshot':
        this.complete = true;
        this.jobs.clear();
        this.#newestSeq.clear();
        for (const job of frame.jobs) this.jobs.set(job.job_id, job);
        break;
      // What is known stays until the snapshot that follows a gap.
      case 'gap':
      case 'resumed':
        break;
    }
    this.cursor = frame.cursor;
    return 'changed';
  }

  #receiveEvent({ prev, cursor, event }: EventFrame): Effect {
    if (prev !== this.cursor) return 'lost';
    this.cursor = cursor;
    const known = this.jobs.get(event.job_id);
    // The end of a job is the end: whatever comes after it, but its deletion, is late.
    const late = event.seq <= (this.#newestSeq.get(event.job_id) ?? -1);
    if (late || (known && isFinal(known.status) && event.kind !== 'deleted')) return 'ignored';
    this.#newestSeq.set(event.job_id, event.seq);
    this.jobs.delete(event.job_id);
    if (event.kind !== 'deleted') this.jobs.set(event.job_id, { ...known, ...stateOf(event) });
    if (isFinal(event.status)) this.#forgetOldJobs();
    return 'changed';
  }

  #receiveEstimate({ type: _, ...estimate }: EstimateFrame): Effect {
    const job = this.jobs.get(estimate.job_id);
    if (!job || isFinal(job.status)) return 'ignored';
    this.jobs.set(job.job_id, { ...job, ...estimate });
    return 'changed';
  }

  #forgetOldJobs(): void {
    const finished = [...this.jobs.values()].filter(({ status }) => isFinal(status));
    for (const { job_id } of finished.slice(0, -MAX_FINISHED)) {
      this.jobs.delete(job_id);
      this.#newestSeq.delete(job_id);
    }
  }
}

function stateOf({ seq: _seq, kind: _kind, timestamp, ...state }: JobEvent): JobState {
  // Fields that the event leaves out stay as they are; null and absent mean the same.
  const present = Object.entries(state).filter(([, value]) => value !== undefined);
  return { ...(Object.fromEntries(present) as unknown as JobState), updated_at: timestamp };
}
