-- What people see of their devices, what they agreed to, and what is left of accounts that are gone.

ALTER TABLE users ADD COLUMN is_admin INTEGER NOT NULL DEFAULT 0;

-- NULL: as old as the session.
ALTER TABLE sessions ADD COLUMN last_used_at INTEGER;
ALTER TABLE sessions ADD COLUMN device TEXT;

CREATE TABLE consents (
    id           BLOB    PRIMARY KEY NOT NULL,
    user_id      BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    consent_type TEXT    NOT NULL,
    text_version TEXT    NOT NULL,
    granted_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX consents_of_user ON consents (user_id, granted_at DESC);

-- Names nobody. `destroyed` counts rows, `objects` is known once they are deleted.
CREATE TABLE deletion_receipts (
    id        BLOB    PRIMARY KEY NOT NULL,
    at        INTEGER NOT NULL,
    destroyed TEXT    NOT NULL,
    objects   INTEGER
) STRICT;

-- For what is kept for a while only.
CREATE INDEX photos_by_age ON photos (created_at) WHERE status <> 'expired';
CREATE INDEX jobs_ended ON jobs (updated_at) WHERE state IN ('completed', 'failed', 'cancelled');
