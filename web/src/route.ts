// Where the page is, kept in the address so that a reload comes back to the same place:
// `#/` takes a photo, `#/jobs/ID` shows a job, running or finished.

export type Route = { screen: 'capture' } | { screen: 'job'; id: string };

export function routeOf(hash: string): Route {
  const id = /^#\/jobs\/([0-9A-Za-z-]+)$/.exec(hash)?.[1];
  return id === undefined ? { screen: 'capture' } : { screen: 'job', id };
}

export function hashOf(route: Route): string {
  return route.screen === 'job' ? `#/jobs/${route.id}` : '#/';
}

const RUNNING = 'irisflow.running';

/** Remembers the job being watched, for a tab that is opened again without its address. */
export function rememberRunning(id: string | null): void {
  try {
    if (id === null) sessionStorage.removeItem(RUNNING);
    else sessionStorage.setItem(RUNNING, id);
  } catch {
    // Without storage the address alone remembers.
  }
}

export function rememberedRunning(): string | null {
  try {
    return sessionStorage.getItem(RUNNING);
  } catch {
    return null;
  }
}
