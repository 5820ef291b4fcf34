// What the package exports. Where to look for what: `client.ts` has all methods, `connection-policy.ts` decides
// about connections, `timeline.ts` understands frames, `feed.ts` holds a connection, `transports/` know the wire.

export { IrisflowClient } from './client.ts';
export type { ClientOptions, JobOptions, ProcessOptions, ProcessProgress, WatchOptions } from './client.ts';
export { TRANSPORTS, type Transport } from './connection-policy.ts';
export { delay, pageWake } from './delay.ts';
export {
  ApiError,
  isAbort,
  isTransient,
  JobFailedError,
  NetworkError,
  PhotoTooLargeError,
  SignedOutError,
} from './errors.ts';
export type { EventItem, EventsOptions, OverflowItem } from './events.ts';
export type { ConnectionStatus } from './feed.ts';
export type { EstimateFrame, EventFrame, EventKind, Filter, GapFrame, JobEvent, SnapshotFrame } from './frames.ts';
export type { Call } from './http.ts';
export { contentTypeOf, type UploadOptions } from './photo-upload.ts';
export { inMemoryTokens, type Bearer, type TokenStore } from './session.ts';
export { isFinal } from './types.ts';
export type * from './types.ts';
