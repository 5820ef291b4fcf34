// Why a job waits and how long it may take, as one line of text.

import type { Estimate } from '../../api';
import { texts } from '../../texts';

/** Shorter times are not worth a text. */
const SHORTEST_MS = 5_000;
const ROUNDED_TO_S = 5;

/** Null when there is nothing to say. */
export function estimateText({ waiting_because, eta_ms, retrying }: Partial<Estimate>): string | null {
  const reason = waiting_because?.message ?? retrying ?? null;
  const duration = eta_ms ? durationText(eta_ms.high) : null;
  return [reason, duration].filter((text) => text !== null).join(' ') || null;
}

function durationText(ms: number): string | null {
  if (ms < SHORTEST_MS) return null;
  const seconds = Math.ceil(ms / 1_000 / ROUNDED_TO_S) * ROUNDED_TO_S;
  if (seconds < 90) return texts.progress.aboutSeconds({ seconds });
  return texts.progress.aboutMinutes({ minutes: Math.ceil(seconds / 60) });
}
