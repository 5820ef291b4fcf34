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
  queue_full: {
    message: 'Many of your pictures are still being made.',
    suggestion: 'Wait until some are finished, then try again.',
  },
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
  conflict: { message: 'This was changed in the meantime.', suggestion: 'Please reload the page.' },
  internal: { message: 'Something went wrong on our side.', suggestion: 'Please try again in a minute.' },
};

/** What only time helps with; how long is said by the server. */
const WAITS: Record<string, string> = {
  too_many_attempts: 'Those were too many tries to sign in.',
  too_many_registrations: 'Many accounts were made from here.',
  rate_limited: 'That was a lot at once.',
  busy: 'Irisflow is busy at the moment.',
  unavailable: 'Irisflow is busy at the moment.',
  too_many_connections: 'Irisflow is busy at the moment.',
  too_many_transfers: 'Irisflow is busy at the moment.',
};

/** Null for codes whose own words will do. */
export function wordsOfCode(code: string | null, retryAfterS: number | null = null): Words | null {
  if (code === null) return null;
  const waits = WAITS[code];
  if (waits !== undefined) return { message: waits, suggestion: waitWords(retryAfterS) };
  return WORDS[code] ?? null;
}

function waitWords(seconds: number | null): string {
  if (seconds === null || seconds < 2) return 'Wait a moment, then try again.';
  if (seconds < 90) return `Please try again in ${seconds} seconds.`;
  return `Please try again in ${Math.ceil(seconds / 60)} minutes.`;
}
