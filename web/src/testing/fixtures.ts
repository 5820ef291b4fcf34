// Complete example values for tests, with the differences that a test cares about.

import type { Check, Consent, JobStatus, Photo } from '../api';

/** A completed job with its picture. */
export function jobFixture(differences: Partial<JobStatus> = {}): JobStatus {
  const job: JobStatus = {
    job_id: '7d0c8f3e-0000-4000-8000-000000000001',
    photo_id: '7d0c8f3e-0000-4000-8000-000000000002',
    status: 'completed',
    current_step: 'completed',
    step: 'Complete!',
    progress: 100,
    attempt_count: 0,
    cancel_requested: false,
    slower_than_usual: false,
    created_at: '2026-05-04T10:00:00Z',
    updated_at: '2026-05-04T10:00:01Z',
    urls_expire_at: '2026-05-04T11:00:00Z',
    websocket_url: '/ws/jobs/7d0c8f3e-0000-4000-8000-000000000001',
    result_url: '/result.jpg',
    before_url: '/before.jpg',
    thumbnail_url: null,
    previews: [],
    processing_time_ms: 840,
    result_width: 2048,
    result_height: 2048,
    options: { size: 2048, background: 'black', preset: 'natural' },
    quality_score: 83,
    quality_message: 'A good photo.',
  };
  return Object.assign(job, differences);
}

/** The check of a usable photo of 400 x 300 pixels with the iris in its middle. */
export function checkFixture(differences: Partial<Check> = {}): Check {
  const check: Check = {
    usable: true,
    eyes_seen: 1,
    message: 'A beautiful, sharp photo.',
    suggestion: null,
    rejection: null,
    quality_score: 83,
    photo: { width: 400, height: 300 },
    iris: { cx: 200, cy: 150, rx: 80, ry: 78, angle_deg: 10 },
    pupil: { cx: 200, cy: 151, rx: 30, ry: 30, angle_deg: 0 },
    upper_lid: [[100, 100], [200, 80], [300, 100]],
    lower_lid: [],
    checked_in_ms: 40,
  };
  return Object.assign(check, differences);
}

export function photoFixture(id: string): Photo {
  return {
    id,
    user_id: '7d0c8f3e-0000-4000-8000-000000000003',
    s3_key: `photos/${id}`,
    upload_status: 'uploaded',
    created_at: '2026-05-04T10:00:00Z',
    updated_at: '2026-05-04T10:00:00Z',
  };
}

/** A consent to work on photos that is in force. */
export function consentFixture(differences: Partial<Consent> = {}): Consent {
  const consent: Consent = {
    id: 'c1',
    consent_type: 'biometric_capture',
    granted: true,
    granted_at: '2026-05-04T10:00:00Z',
    jurisdiction: 'gdpr',
    text_version: '2026-11',
    consent_text_version: '2026-11',
  };
  return Object.assign(consent, differences);
}

/** A file that begins like a photo of the given format. */
export function photoFile(name = 'eye.jpg', head: number[] = [0xff, 0xd8, 0xff, 0xe0], type = 'image/jpeg'): File {
  return new File([new Uint8Array([...head, ...Array<number>(32).fill(0)])], name, { type });
}
