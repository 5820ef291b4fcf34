// Detects a dead peer, one that is gone without having closed the connection: by a timeout, also when the device
// slept.

export interface LivenessLimits {
  /** Until something is received. */
  firstMs: number;
  /** Silence after which the peer is probed. */
  quietMs: number;
  /** From the probe to its answer. */
  answerMs: number;
}

export interface LivenessMonitor {
  /** Something was received. */
  touch(): void;
  stop(): void;
}

interface Callbacks {
  probe?: () => void;
  onDead(): void;
}

/** Calls `onDead` when the limits are passed. `wake` dispatches `wake` when the device may have slept. */
export function monitorLiveness(
  limits: LivenessLimits,
  wake: EventTarget,
  { probe, onDead }: Callbacks,
): LivenessMonitor {
  let timer: ReturnType<typeof setTimeout>;
  let lastTouch: number | null = null;
  const arm = (ms: number, then: () => void) => {
    clearTimeout(timer);
    timer = setTimeout(then, ms);
  };
  const probePeer = () => {
    probe?.();
    arm(limits.answerMs, onDead);
  };
  // Timers stop while a device sleeps, and the wall clock does not.
  const onWake = () => {
    if (lastTouch === null) return;
    if (Date.now() - lastTouch > limits.quietMs + limits.answerMs) onDead();
    else probePeer();
  };
  wake.addEventListener('wake', onWake);
  arm(limits.firstMs, onDead);
  return {
    touch() {
      lastTouch = Date.now();
      arm(limits.quietMs, probePeer);
    },
    stop() {
      clearTimeout(timer);
      wake.removeEventListener('wake', onWake);
    },
  };
}
