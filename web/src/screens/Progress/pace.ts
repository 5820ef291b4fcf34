// How live progress is shown: how long a step stays on the screen, and how the bar moves
// between two checkpoints. Pure: time is given. The service itself never waits.

/** The steps a person sees, in order, and the progress at which each begins. */
export const STEPS = [
  { name: 'Preparing your image...', from: 0 },
  { name: 'Finding your iris...', from: 20 },
  { name: 'Removing reflections...', from: 50 },
  { name: 'Enhancing quality...', from: 70 },
  { name: 'Almost done...', from: 95 },
] as const;

/** Which of `STEPS` is being done; as many as there are when all are. Names are for people only. */
export function placeOf(progress: number): number {
  if (progress >= 100) return STEPS.length;
  return STEPS.filter((known) => known.from <= progress).length - 1;
}

const CHECKPOINTS = [5, 10, 20, 40, 50, 60, 70, 90, 95, 100];

/** The next checkpoint after the one reported; the bar stays short of it until it comes. */
export function ceilingOf(reported: number): number {
  return CHECKPOINTS.find((checkpoint) => checkpoint > reported) ?? 100;
}

export interface Glide {
  /** Where the bar is now. */
  shown: number;
  /** What the server last said, and how long ago. */
  reported: number;
  sinceReportMs: number;
  /** Since the bar was last drawn. */
  frameMs: number;
}

/** Where the bar goes next: never back, never to the next checkpoint before it is reached. */
export function glide({ shown, reported, sinceReportMs, frameMs }: Glide): number {
  const CREEP_MS = 7_000;
  const CATCH_UP_MS = 160;
  const room = (ceilingOf(reported) - reported) * 0.8;
  const target = reported + room * (1 - Math.exp(-sinceReportMs / CREEP_MS));
  const next = shown + (target - shown) * (1 - Math.exp(-frameMs / CATCH_UP_MS));
  return Math.max(shown, next);
}

export interface Shown {
  step: string;
  progress: number;
}

export interface StepPlayer {
  hear(progress: number, step: string): void;
  /** What to show at this time. Turns to the next step once the present one was seen. */
  at(nowMs: number): Shown;
  /** Whether everything heard has been seen long enough to be read. */
  caughtUp(nowMs: number): boolean;
}

/** Lets each step be seen for a moment, although a fast server may run through all at once. */
export function createStepPlayer(dwellMs: number): StepPlayer {
  const waiting: Shown[] = [];
  let present: Shown | null = null;
  let turnedAt = 0;

  return {
    hear(progress, step) {
      const newest = waiting.at(-1) ?? present;
      if (newest?.step === step) newest.progress = Math.max(newest.progress, progress);
      else waiting.push({ step, progress: Math.max(progress, newest?.progress ?? 0) });
    },
    at(nowMs) {
      if (waiting.length > 0 && (!present || nowMs - turnedAt >= dwellMs)) {
        present = waiting.shift() ?? present;
        turnedAt = nowMs;
      }
      return present ? { ...present } : { step: '', progress: 0 };
    },
    caughtUp: (nowMs) => waiting.length === 0 && nowMs - turnedAt >= dwellMs,
  };
}
