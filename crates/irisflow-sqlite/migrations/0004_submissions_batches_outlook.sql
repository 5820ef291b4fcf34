-- A client's name for one request, so that asking again does nothing twice. Its jobs name it.
CREATE TABLE submissions (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id     BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    memo        TEXT    NOT NULL,
    expires_at  INTEGER NOT NULL,
    UNIQUE (user_id, key)
) STRICT;
CREATE INDEX submissions_expiry ON submissions (expires_at);
ALTER TABLE jobs ADD COLUMN submission_id INTEGER REFERENCES submissions (id) ON DELETE SET NULL;
CREATE INDEX jobs_of_submission ON jobs (submission_id) WHERE submission_id IS NOT NULL;

-- Jobs that were submitted together. `size` counts those deleted since, so that the progress of the
-- whole never goes back.
CREATE TABLE batches (
    id         BLOB    PRIMARY KEY NOT NULL,
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    size       INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX batches_of_user ON batches (user_id);
CREATE INDEX jobs_of_batch ON jobs (batch_id) WHERE batch_id IS NOT NULL;
INSERT INTO batches (id, user_id, size, created_at)
    SELECT batch_id, user_id, count(*), min(created_at) FROM jobs
    WHERE batch_id IS NOT NULL GROUP BY batch_id;

-- What the steps of finished jobs took. Names nobody and nothing.
CREATE TABLE step_times (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    pixels                  INTEGER NOT NULL,
    loading_ms              INTEGER NOT NULL,
    segmenting_ms           INTEGER NOT NULL,
    removing_reflections_ms INTEGER NOT NULL,
    enhancing_ms            INTEGER NOT NULL,
    saving_ms               INTEGER NOT NULL
) STRICT;

-- The worker processes that have been heard of.
CREATE TABLE workers (
    id      BLOB    PRIMARY KEY NOT NULL,
    slots   INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
