// What the page says for codes whose sentence from the server is meant for programs. Codes that are
// not here (about the photo, the password, the limits of an account) bring words for people along.

export interface Words {
  message: string;
  suggestion: string | null;
}

const WORDS: Record<string, Words> = {
  account_inactive: {
    message: 'This account has been switched off.',
    suggestion: 'Please ask the people who run this server.',
  },
  consent_required: {
    message: 'We need your agreement before we can work on your photo.',
    suggestion: 'Please try again.',
  },
  rate_limited: { message: 'That was a lot at once.', suggestion: 'Wait a moment, then try again.' },
  queue_full: {
    message: 'Many of your pictures are still being made.',
    suggestion: 'Wait until some are finished, then try again.',
  },
  too_many_connections: { message: 'Irisflow is busy at the moment.', suggestion: 'Please try again in a minute.' },
  too_many_transfers: { message: 'Irisflow is busy at the moment.', suggestion: 'Please try again in a minute.' },
  photo_not_uploaded: { message: 'Your photo did not arrive.', suggestion: 'Please send it again.' },
  photo_expired: { message: 'This photo is no longer kept here.', suggestion: 'Please take a new one.' },
  link_expired: { message: 'This took too long.', suggestion: 'Please try again.' },
  link_invalid: { message: 'Your photo could not be sent.', suggestion: 'Please try again.' },
  content_type_differs: { message: 'Your photo could not be sent.', suggestion: 'Please try again.' },
  request_timeout: {
    message: 'Your photo came in too slowly.',
    suggestion: 'Find a better connection, then try again.',
  },
  timed_out: { message: 'This took too long on our side.', suggestion: 'Please try again in a minute.' },
  not_found: { message: 'This picture is not here.', suggestion: 'It may have been deleted.' },
  job_not_found: { message: 'This picture is not here.', suggestion: 'It may have been deleted.' },
  unavailable: { message: 'Irisflow is busy at the moment.', suggestion: 'Please try again in a minute.' },
  internal: { message: 'Something went wrong on our side.', suggestion: 'Please try again in a minute.' },
};

/** Null for codes whose own words will do. */
export function wordsOfCode(code: string | null): Words | null {
  return code === null ? null : (WORDS[code] ?? null);
}
