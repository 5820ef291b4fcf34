// The id of the job being watched, kept for this tab: a tab that is reopened without its address goes on
// watching the same job.

const KEY = 'irisflow.running';

export function rememberRunningJob(id: string): void {
  try {
    sessionStorage.setItem(KEY, id);
  } catch {
    // Without storage there is only the address.
  }
}

export function forgetRunningJob(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Nothing was stored.
  }
}

export function runningJob(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}
