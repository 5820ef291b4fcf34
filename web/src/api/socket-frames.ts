// The frames of `/ws/jobs/{id}`, by hand: OpenAPI does not describe sockets.
// The server writes them in crates/irisflow-server/src/live/.

import type { Estimate, Job } from './types';

/** The state of the job. */
export interface JobFrame extends Partial<Estimate> {
  job_id: string;
  status: Job['status'];
  progress: number;
  step: string;
}

/** Why the socket is about to close. Only `code` decides what to do. */
export interface CloseReasonFrame {
  error: string;
  code?: string;
}
