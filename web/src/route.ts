// Which screen the address names, so that a reload shows the same one: `#/` takes a photo,
// `#/jobs/ID` shows a job, running or finished.

export type Route = { screen: 'capture' } | { screen: 'job'; id: string };

export function routeOf(hash: string): Route {
  const id = /^#\/jobs\/([0-9A-Za-z-]+)$/.exec(hash)?.[1];
  return id === undefined ? { screen: 'capture' } : { screen: 'job', id };
}

export function hashOf(route: Route): string {
  return route.screen === 'job' ? `#/jobs/${route.id}` : '#/';
}
