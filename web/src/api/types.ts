// The shapes the server sends and takes, as they are on the wire. No behaviour here.

export interface Tokens {
  access_token: string;
  refresh_token: string;
}

export interface User {
  id: string;
  email: string;
}

export interface Photo {
  id: string;
  width: number | null;
  height: number | null;
  original_url: string | null;
}

/** Centre, semi-axes and the first one's rotation, clockwise; pixels of the upright photo. */
export interface Ellipse {
  cx: number;
  cy: number;
  rx: number;
  ry: number;
  angle_deg: number;
}

/** What a quick look at a photo says. */
export interface Check {
  usable: boolean;
  eyes_seen: number;
  message: string;
  suggestion: string | null;
  /** Null for a usable photo. */
  rejection: { code: string } | null;
  quality_score: number | null;
  photo: { width: number; height: number } | null;
  /** Also of an iris that is not good enough. */
  iris: Ellipse | null;
  pupil: Ellipse | null;
  upper_lid: [number, number][];
  lower_lid: [number, number][];
}

/** What somebody has agreed to, and whether they still do. */
export interface Consent {
  id: string;
  consent_type: string;
  granted: boolean;
}

export interface UploadSlot {
  upload_url: string;
  photo_id: string;
  /** The largest photo that this server takes. */
  max_bytes?: number;
}

/** What people are asked to agree to, where the operator requires it. */
export interface ConsentText {
  jurisdiction: string;
  consent_text: string;
  consent_text_version: string;
}

export type JobState = 'pending' | 'processing' | 'completed' | 'failed' | 'cancelled';
export type ErrorType = 'quality_issue' | 'transient_error' | 'server_error';

/** What submit and reprocess answer. */
export interface Job {
  job_id: string;
  photo_id: string;
  status: JobState;
  current_step: string | null;
  step: string;
  progress: number;
  attempt_count: number;
  created_at: string;
}

/** What reading a job answers. */
export interface JobStatus extends Job {
  error_type: ErrorType | null;
  error_code: string | null;
  error_message: string | null;
  suggestion: string | null;
  result_url: string | null;
  mask_url: string | null;
  before_url: string | null;
  original_url: string | null;
  /** A few hundred pixels wide. */
  thumbnail_url?: string | null;
  processing_time_ms: number | null;
  result_width: number | null;
  result_height: number | null;
  /** 0 to 100. */
  quality_score: number | null;
  quality_message: string | null;
}

export interface Page<Item> {
  items: Item[];
  total: number;
  page: number;
  page_size: number;
}

/** What there is to say to somebody who waits. */
export interface Outlook {
  /** Null for a job that does not wait. */
  waiting_because: { code: string; message: string } | null;
  /** Null while there is nothing to judge by. */
  eta_ms: { low: number; high: number } | null;
  retrying: string | null;
}

/** A frame of `/ws/jobs/{id}` that tells how the job is. */
export interface JobFrame extends Partial<Outlook> {
  job_id: string;
  status: JobState;
  progress: number;
  step: string;
}

/** A frame of `/ws/jobs/{id}` that tells why the socket is about to close. Only `code` decides. */
export interface RefusalFrame {
  error: string;
  code?: string;
}

export function isFinal(status: JobState): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}
