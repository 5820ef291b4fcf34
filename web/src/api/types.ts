// The server's bodies under the names that the page uses. The client generates them from the server's
// description.

import type { Schemas } from '@irisflow/client';

export { isFinal } from '@irisflow/client';
export type { Check, Estimate, Job, JobPage, JobStatus, Outline, Photo, PictureOptions, Preview, Tokens } from '@irisflow/client';

export type Ellipse = Schemas['EllipseBody'];

export type Consent = Schemas['ConsentBody'];
export type ConsentList = Schemas['ConsentList'];
/** The text to agree to, where the operator requires consent. */
export type ConsentText = Pick<Schemas['JurisdictionBody'], 'jurisdiction' | 'consent_text' | 'consent_text_version'>;
