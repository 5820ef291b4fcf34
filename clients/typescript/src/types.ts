// The server's bodies under the names of this package. Generated from the server's description: change them
// there, then run `npm run generate`.

import type { components } from './openapi.generated.ts';

export type Schemas = components['schemas'];

export type Tokens = Pick<Schemas['TokenPair'], 'access_token' | 'refresh_token'>;
export type Photo = Schemas['PhotoBody'];
export type UploadSlot = Schemas['UploadBody'];
/** The quality check of a photo, made without a job. */
export type Check = Schemas['CheckBody'];
/** What submitting and reprocessing answer. */
export type Job = Schemas['JobBody'];
/** What reading a job answers. */
export type JobStatus = Schemas['JobStatusBody'];
/** A small picture of a job's work so far. */
export type Preview = Schemas['PreviewBody'];
export type JobPage = Schemas['JobPage'];
export type Batch = Schemas['BatchBody'];
/** How a picture is to be made. */
export type PictureOptions = Schemas['PictureOptionsBody'];
export type Outline = Schemas['OutlineName'];
/** Why a job waits, and how long it may still take. */
export type Estimate = Schemas['EstimateBody'];

type LiveField =
  'job_id' | 'photo_id' | 'batch_id' | 'status' | 'step' | 'current_step' | 'progress' | 'attempt_count' | 'updated_at';

/**
 * A job as events describe it: always these fields, and of the others those that were received. Read the job
 * (`client.job`) for all of them.
 */
export type JobState = Pick<JobStatus, LiveField> & Partial<Omit<JobStatus, LiveField>>;

/** Whether a job with this status will not change any more. */
export function isFinal(status: string): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}
