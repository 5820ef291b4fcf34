// The frames of `GET /ws` and `GET /api/v1/events`, kept by hand; a test compares them with
// docs/events.schema.json.

import type { Estimate, JobState, JobStatus, Preview } from './types.ts';

/** Limits a connection to some jobs, or to one batch. */
export interface Filter {
  job_ids?: string[];
  batch_id?: string;
}

export type EventKind = 'queued' | 'progress' | 'retrying' | 'completed' | 'failed' | 'cancelled' | 'deleted';

/** One change of one job. */
export interface JobEvent {
  /** Position in the account's timeline. */
  seq: number;
  kind: EventKind;
  job_id: string;
  photo_id: string | null;
  batch_id: string | null;
  status: string;
  step: string;
  current_step: string | null;
  progress: number;
  attempt_count: number;
  timestamp: string;
  previews: Preview[];
  error_type?: string | null;
  error_code?: string | null;
  error_message?: string | null;
  suggestion?: string | null;
  error_measured?: JobStatus['error_measured'];
  result_url?: string | null;
  mask_url?: string | null;
  before_url?: string | null;
  thumbnail_url?: string | null;
  outline?: JobStatus['outline'];
  alternative?: JobStatus['alternative'];
  urls_expire_at?: string | null;
  processing_time_ms?: number | null;
  result_width?: number | null;
  result_height?: number | null;
  quality_score?: number | null;
}

/** The present state: unfinished jobs and the newest finished ones. Replaces what was known before. */
export interface SnapshotFrame {
  type: 'snapshot';
  cursor: string;
  /** The server sends every field of `JobStatus`. */
  jobs: JobState[];
}

/** The cursor was accepted: the events after it follow. */
export interface ResumedFrame {
  type: 'resumed';
  cursor: string;
}

export interface EventFrame {
  type: 'event';
  cursor: string;
  /** The cursor of the frame before on this connection. Another one than the client's means loss. */
  prev: string;
  event: JobEvent;
}

export interface EstimateFrame extends Estimate {
  type: 'estimate';
  job_id: string;
}

/** Events after the client's cursor are not available; a snapshot follows. */
export interface GapFrame {
  type: 'gap';
  reason: 'pruned' | 'ahead' | 'epoch' | 'invalid';
  cursor: string;
}

/** The frames that change what is known of the jobs. */
export type TimelineFrame = SnapshotFrame | ResumedFrame | EventFrame | EstimateFrame | GapFrame;

export interface TokenExpiringFrame {
  type: 'token_expiring';
  expires_in_ms: number;
}

export interface TokenAcceptedFrame {
  type: 'token_accepted';
  expires_in_ms: number;
}

/** The answer to a `ping`. */
export interface PongFrame {
  type: 'pong';
}

export interface ClosingFrame {
  type: 'closing';
  reason: string;
  reconnect_in_ms: number;
}

/** Why the server closes the connection. */
export interface ErrorFrame {
  type: 'error';
  error: string;
  detail: string;
  code: string;
  error_type?: string;
  message?: string;
  suggestion?: string;
  retry_in_ms?: number;
}

export type ServerFrame =
  TimelineFrame | TokenExpiringFrame | TokenAcceptedFrame | PongFrame | ClosingFrame | ErrorFrame;

export interface HelloFrame {
  type: 'hello';
  token?: string;
  ticket?: string;
  cursor?: string;
  filter?: Filter;
}

export interface TokenFrame {
  type: 'token';
  token: string;
}

export interface FilterFrame {
  type: 'filter';
  filter: Filter | null;
}

/** Answered by `pong`: browsers do not show the pings of the protocol. */
export interface PingFrame {
  type: 'ping';
}

export type ClientFrame = HelloFrame | TokenFrame | FilterFrame | PingFrame;

/** A frame, or null for text that is none. Its type may be one that this client does not know. */
export function parseFrame(text: unknown): ServerFrame | null {
  try {
    const frame = JSON.parse(String(text)) as { type?: unknown } | null;
    return typeof frame?.type === 'string' ? (frame as ServerFrame) : null;
  } catch {
    return null;
  }
}
