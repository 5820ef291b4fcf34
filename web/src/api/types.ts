// The server's bodies under the names that the page uses. Generated from the server's description:
// change them there, then run `npm run generate`.

import type { components } from './openapi.generated';

type Schemas = components['schemas'];

export type Tokens = Pick<Schemas['TokenPair'], 'access_token' | 'refresh_token'>;
export type Photo = Schemas['PhotoBody'];
export type UploadSlot = Schemas['UploadBody'];

/** The quality check of a photo, made before any job. */
export type Check = Schemas['CheckBody'];
export type Ellipse = Schemas['EllipseBody'];

export type Consent = Schemas['ConsentBody'];
export type ConsentList = Schemas['ConsentList'];
/** The text to agree to, where the operator requires consent. */
export type ConsentText = Pick<Schemas['JurisdictionBody'], 'jurisdiction' | 'consent_text' | 'consent_text_version'>;

/** What submitting and reprocessing answer. */
export type Job = Schemas['JobBody'];
/** What reading a job answers. */
export type JobStatus = Schemas['JobStatusBody'];
export type JobPage = Schemas['JobPage'];
/** Why a job waits, and how long it may still take. */
export type Estimate = Schemas['EstimateBody'];

/** Whether a job with this status will not change any more. */
export function isFinal(status: Job['status']): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}
