// Every English text of the page, by screen. A text with parameters is a function of named parameters.
// Another language is a file beside this one, of type `Texts`; `index.ts` lists the languages.

export const en = {
  /** Also the first part of a page's title in the browser. */
  appName: 'Irisflow',

  common: {
    cancel: 'Cancel',
    close: 'Close',
    newPhoto: 'New photo',
    oneMoment: 'One moment…',
    pageTitle: ({ page }: { page: string }) => `${page} · Irisflow`,
    starting: 'Starting…',
    takeAnotherPhoto: 'Take another photo',
    chooseAnotherPhoto: 'Choose another photo',
    tryAgain: 'Try again',
    useAnotherPhoto: 'Use another photo',
  },

  account: {
    menu: 'Your account',
    yourData: 'Your data',
    signOut: 'Sign out',
    switchedOff: 'This account has been switched off. Please ask the people who run this server.',
    sessionEnded: 'Your session has ended. Please sign in again.',
    deleted: 'Your account has been deleted, with everything in it.',
  },

  signIn: {
    heading: 'See your own iris',
    introduction: 'A photo of your eye becomes a clear, finished picture.',
    headingNewAccount: 'Create your account',
    introductionNewAccount: 'Your pictures stay yours: only you can see them.',
    email: 'Email',
    password: 'Password',
    hidePassword: 'Hide',
    showPassword: 'Show',
    signIn: 'Sign in',
    createAccount: 'Create account',
    toSignIn: 'I already have an account',
    toNewAccount: 'New here? Create an account',
    emailTaken: { message: 'There is already an account with this address.', suggestion: 'Sign in with its password.' },
    wrongCredentials: {
      message: 'Address and password do not match.',
      suggestion: 'Check both, or create an account.',
    },
    weakPassword: 'The password is not strong enough yet.',
    weakPasswordNeeds: ({ rules }: { rules: string[] }) => `It still needs ${listOf(rules)}.`,
    passwordRulesList: 'The password needs',
    passwordRules: {
      length: '8 characters or more',
      upperCase: 'a capital letter',
      lowerCase: 'a small letter',
      digit: 'a digit',
    },
    ruleMet: ' (done)',
    ruleMissing: ' (missing)',
  },

  consent: {
    title: 'Before your photo is sent',
    agree: 'I agree',
    decline: 'Not now',
  },

  capture: {
    heading: 'Take a photo of one eye',
    introduction: 'Come close, face a window or a lamp, and keep the eye wide open and still.',
    takePhoto: 'Take a photo',
    choosePhoto: 'Choose a photo',
    previewAlt: 'What you picked',
    previewHeading: 'Is the eye sharp?',
    previewAdvice: 'The sharper the photo, the finer the picture.',
    process: 'Process',
    sending: 'Sending your photo…',
    checking: 'Looking at your photo…',
    sentShare: 'Photo sent',
  },

  photoFile: {
    empty: { message: 'This file is empty.', suggestion: 'Choose another photo.' },
    unreadable: {
      message: 'This photo could not be opened.',
      suggestion: 'It may still be in the cloud. Open it in your photo app first, then choose it again.',
    },
    heic: {
      message: 'This photo is in the HEIC format, which we cannot read yet.',
      suggestion:
        'On an iPhone, open Settings, then Camera, then Formats, choose “Most Compatible”, and take the photo again. ' +
        'A photo that you already have can be sent when it is saved as JPEG.',
    },
    unsupportedFormat: ({ format }: { format: string }) => ({
      message: `We cannot read ${format} pictures.`,
      suggestion: 'Save the photo as JPEG, then choose that.',
    }),
    notAPhoto: { message: 'This file is not a photo.', suggestion: 'Choose a JPEG, PNG or WebP photo of an eye.' },
    tooLarge: ({ megabytes, limitMegabytes }: { megabytes: number; limitMegabytes: number }) => ({
      message: `This photo has ${megabytes} MB. The most that can be sent is ${limitMegabytes} MB.`,
      suggestion: 'Choose a smaller photo, or take one with a lower resolution.',
    }),
  },

  photoCheck: {
    outlineLabel: 'The outline of your iris',
    closeupAlt: 'Your eye',
    notUsable: 'This photo will not do',
    eyeNotUsable: 'We see your eye, but…',
    // The server's sentence on a small iris begins with "We see your eye" itself.
    irisTooSmall: 'Nearly there',
  },

  recentJobs: {
    heading: 'Recent',
    label: 'Your recent pictures',
    completed: 'Finished picture',
    cancelled: 'Stopped',
    failed: 'Did not work',
    working: ({ percent }: { percent: number }) => `Working, ${percent} %`,
    workingShort: ({ percent }: { percent: number }) => (percent === 0 ? '…' : `${percent}%`),
  },

  progress: {
    label: 'Your picture',
    stepsLabel: 'Steps',
    steps: {
      preparing: 'Preparing your image',
      segmenting: 'Finding your iris',
      removingReflections: 'Removing reflections',
      enhancing: 'Enhancing quality',
      finishing: 'Almost done',
    },
    previewAlts: {
      outline: 'Your eye, with the outline that was found',
      light: 'The light that is taken off',
      result: 'Your iris, nearly finished',
    },
    stepRunning: ({ step }: { step: string }) => `${step}...`,
    connected: 'You can leave this page. The work goes on.',
    reconnecting: 'Finding the connection again. The work goes on.',
    aboutSeconds: ({ seconds }: { seconds: number }) => `About ${seconds} seconds.`,
    aboutMinutes: ({ minutes }: { minutes: number }) => `About ${minutes} minutes.`,
    anotherPhoto: 'Another photo',
    stop: 'Stop',
    stopQuestion: 'Stop making this picture?',
    stopConfirm: 'Yes, stop it',
    stopDismiss: 'Keep going',
    stopping: 'Stopping…',
    stopFailed: 'This could not be stopped just now.',
    stopFailedSuggestion: 'Please try again.',
  },

  job: {
    titleCompleted: 'Your iris',
    titleOther: 'Your picture',
    deletePhoto: 'Delete this photo',
    deleteQuestion: 'Delete this photo and every picture made from it?',
    deleteConfirm: 'Yes, delete',
    deleteDismiss: 'Keep it',
    deleting: 'Deleting…',
  },

  jobFailure: {
    cancelledHeading: 'Stopped',
    cancelledExplanation: 'This one was stopped. The photo is still here.',
    heading: 'That did not work',
    unknownReason: 'Something went wrong on our side.',
    originalAlt: 'Your original',
  },

  result: {
    heading: 'Your iris',
    resultAlt: 'Your iris, finished',
    beforeAlt: 'The same iris, as it was',
    before: 'Before',
    after: 'After',
    compareLabel: 'Compare before and after',
    compareValue: ({ percent }: { percent: number }) => `${percent} % before`,
    quality: ({ score }: { score: number }) => `Photo quality ${score} of 100`,
    size: ({ width, height }: { width: number; height: number }) => `${width} × ${height} pixels`,
    processingTime: ({ seconds }: { seconds: number }) => `${seconds.toFixed(1)} s of work`,
    save: 'Save',
    share: 'Share',
    processAgain: 'Process this photo again',
    outlineLabel: 'Which part of the iris is shown',
    outlines: { round: 'Full circle', visible: 'Visible part' },
    completed: ({ percent }: { percent: number }) =>
      `Under reflections and behind the lids, ${percent} % of this iris was filled in from its own texture.`,
    visible: 'Only what the photo shows: lids cut the circle.',
    makeVivid: 'Make it vivid',
    makeNatural: 'Make it natural',
    notLoaded: { message: 'The picture could not be loaded.', suggestion: 'Reload the page to try again.' },
  },

  yourData: {
    title: 'Your data',
    privacy: 'Only you can see your photos and pictures. Each can be deleted below it, when you open it.',
    consentGiven: 'You have agreed that we work on photos of your eyes.',
    withdrawConsent: 'Take back my agreement',
    consentWithdrawn: 'You have taken back your agreement. Before the next photo we ask again.',
    deleteAccount: 'Delete my account',
    deleteAccountWarning:
      'This deletes your account with all photos and pictures in it. They cannot be brought back.',
    deleteAccountConfirm: 'Yes, delete everything',
    deleteAccountDismiss: 'Keep my account',
    deleting: 'Deleting…',
  },

  errors: {
    unreachable: 'We could not reach Irisflow. Check your connection and try again.',
    signedOut: 'Please sign in again.',
    consentDeclined: 'We work on your photo only when you agree.',
    unexpected: { message: 'Something went wrong on this page.', suggestion: 'Reload the page and try again.' },
    unreadableAnswer: 'The answer from Irisflow was not readable.',

    /** For error codes whose sentence from the server is meant for programs. The others bring their own text. */
    byCode: {
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
    },

    /** For error codes after which only waiting helps; `retryIn...` is the suggestion. */
    waitByCode: {
      too_many_attempts: 'Those were too many tries to sign in.',
      too_many_registrations: 'Many accounts were made from here.',
      rate_limited: 'That was a lot at once.',
      busy: 'Irisflow is busy at the moment.',
      unavailable: 'Irisflow is busy at the moment.',
      too_many_transfers: 'Irisflow is busy at the moment.',
    },
    retryInAMoment: 'Wait a moment, then try again.',
    retryInSeconds: ({ seconds }: { seconds: number }) => `Please try again in ${seconds} seconds.`,
    retryInMinutes: ({ minutes }: { minutes: number }) => `Please try again in ${minutes} minutes.`,

    /** For error answers without a readable body. */
    photoTooLarge: 'This photo is too large to send.',
    tooManyRequests: 'Too many tries. Wait a minute, then try again.',
    serverError: 'Irisflow has a problem at the moment. Please try again later.',
    otherStatus: 'That did not work. Please try again.',
  },
};

/** As in "a, b and c". */
function listOf(parts: string[]): string {
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}
