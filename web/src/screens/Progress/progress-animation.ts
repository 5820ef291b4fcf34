// How live progress is animated: how long each step stays on the screen, and how the bar moves between two
// reports. Pure functions of given times; the server is never delayed by it.

/** The steps in order, and the progress at which each begins. */
export const STEPS = [
  { name: 'preparing', from: 0 },
  { name: 'segmenting', from: 20 },
  { name: 'removingReflections', from: 50 },
  { name: 'enhancing', from: 70 },
  { name: 'finishing', from: 95 },
] as const;

export type StepName = (typeof STEPS)[number]['name'];

/** The index in `STEPS` of the current step; `STEPS.length` when all are done. */
export function stepIndexAt(progress: number): number {
  if (progress >= 100) return STEPS.length;
  return STEPS.filter((step) => step.from <= progress).length - 1;
}

/** The steps that a job has passed between two reports without one of their own. Progress 0 is before the first. */
function stepsBetween(before: number, after: number) {
  return STEPS.slice(before > 0 ? stepIndexAt(before) + 1 : 0, stepIndexAt(after));
}

/** The values of progress that the server reports. */
const CHECKPOINTS = [5, 10, 20, 40, 50, 60, 70, 90, 95, 100];

/** The checkpoint after the reported one; the bar stays short of it until it is reported. */
export function nextCheckpoint(reported: number): number {
  return CHECKPOINTS.find((checkpoint) => checkpoint > reported) ?? 100;
}

export interface BarState {
  /** The position of the bar now, in per cent. */
  shown: number;
  /** The latest progress from the server, and its age. */
  reported: number;
  sinceReportMs: number;
  /** Since the bar was last drawn. */
  frameMs: number;
}

/** The next position of the bar: never back, never at a checkpoint before it is reported. */
export function nextBarPosition({ shown, reported, sinceReportMs, frameMs }: BarState): number {
  const CREEP_MS = 7_000;
  const CATCH_UP_MS = 160;
  const room = (nextCheckpoint(reported) - reported) * 0.8;
  const target = reported + room * (1 - Math.exp(-sinceReportMs / CREEP_MS));
  const next = shown + (target - shown) * (1 - Math.exp(-frameMs / CATCH_UP_MS));
  return Math.max(shown, next);
}

interface ShownStep {
  /** The server's text for it. */
  step: string;
  progress: number;
}

export interface StepQueue {
  push(progress: number, step: string): void;
  /** What to show at this time. Advances to the next step once the current one was shown long enough. */
  at(nowMs: number): ShownStep;
  /** Whether every step was shown long enough. */
  isDrained(nowMs: number): boolean;
}

/**
 * Shows each step for at least `minimumMs`, although a fast server may run through all of them at once. A step whose
 * report a later one overtook since `initialProgress` is shown with `textOf`.
 */
export function createStepQueue(
  minimumMs: number,
  initialProgress: number,
  textOf: (step: StepName) => string,
): StepQueue {
  const queue: ShownStep[] = [];
  let current: ShownStep | null = null;
  let shownSinceMs = 0;

  return {
    push(progress, step) {
      const newest = queue.at(-1) ?? current;
      if (newest?.step === step) {
        newest.progress = Math.max(newest.progress, progress);
        return;
      }
      for (const { name, from } of stepsBetween(newest?.progress ?? initialProgress, progress)) queue.push({ step: textOf(name), progress: from });
      queue.push({ step, progress: Math.max(progress, newest?.progress ?? 0) });
    },
    at(nowMs) {
      if (queue.length > 0 && (!current || nowMs - shownSinceMs >= minimumMs)) {
        current = queue.shift() ?? current;
        shownSinceMs = nowMs;
      }
      return current ? { ...current } : { step: '', progress: 0 };
    },
    isDrained: (nowMs) => queue.length === 0 && nowMs - shownSinceMs >= minimumMs,
  };
}
