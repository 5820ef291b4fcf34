// An API client whose calls never settle unless a test says otherwise. For tests only.

import { vi, type Mocked } from 'vitest';
import type { Api } from '../api';

export function fakeApi(): Mocked<Api> {
  const never = () => new Promise<never>(() => undefined);
  return {
    isSignedIn: vi.fn(() => true),
    register: vi.fn(never),
    signIn: vi.fn(never),
    signOut: vi.fn(never),
    consentText: vi.fn(never),
    giveConsent: vi.fn(never),
    consents: vi.fn(never),
    withdrawConsent: vi.fn(never),
    deleteAccount: vi.fn(never),
    deletePhoto: vi.fn(never),
    uploadPhoto: vi.fn(never),
    check: vi.fn(never),
    submit: vi.fn(never),
    reprocess: vi.fn(never),
    cancel: vi.fn(never),
    job: vi.fn(never),
    recentJobs: vi.fn(never),
    stayConnected: vi.fn(never),
    watch: vi.fn(never),
    picture: vi.fn(never),
  };
}
