// Detects peers that are gone without having closed the connection: by silence, also when the device slept.

export interface SilenceLimits {
  /** Until the first sign of life. */
  firstMs: number;
  /** Silence after which the peer is probed. */
  quietMs: number;
  /** From the probe to its answer. */
  answerMs: number;
}

export interface SilenceWatch {
  /** The peer gave a sign of life. */
  touch(): void;
  stop(): void;
}

interface Callbacks {
  probe?: () => void;
  onDead(): void;
}

/** Calls `onDead` when the limits are passed. `wake` dispatches `wake` when the device may have slept. */
export function watchSilence(limits: SilenceLimits, wake: EventTarget, { probe, onDead }: Callbacks): SilenceWatch {
  let timer: ReturnType<typeof setTimeout>;
  let lastTouch: number | null = null;
  const arm = (ms: number, then: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(then, ms);
  };
  const ask = () => {
    probe?.();
    arm(limits.answerMs, onDead);
  };
  // Timers stop while a device sleeps, and the wall clock does not.
  const onWake = () => {
    if (lastTouch === null) return;
    if (Date.now() - lastTouch > limits.quietMs + limits.answerMs) onDead();
    else ask();
  };
  wake.addEventListener('wake', onWake);
  arm(limits.firstMs, onDead);
  return {
    touch() {
      lastTouch = Date.now();
      arm(limits.quietMs, ask);
    },
    stop() {
      clearTimeout(timer);
      wake.removeEventListener('wake', onWake);
    },
  };
}
