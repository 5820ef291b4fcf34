-- Accounts, photos, jobs and their events. Times are milliseconds since the Unix epoch (UTC), ids are
-- 16-byte UUIDs. Forward only: a later change is a later file.

CREATE TABLE users (
    id            BLOB    PRIMARY KEY NOT NULL,
    email         TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    is_active     INTEGER NOT NULL DEFAULT 1,
    is_verified   INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    id         BLOB    PRIMARY KEY NOT NULL,
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id);

-- All refresh tokens of a session, by SHA-256: the spent ones betray a copy.
CREATE TABLE refresh_tokens (
    hash       BLOB    PRIMARY KEY NOT NULL,
    session_id BLOB    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    spent_at   INTEGER
) STRICT;
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);

-- One row a user. `epoch` changes when the database is restored; `last_seq` is the newest event,
-- events up to `floor_seq` have been pruned. `running` and `next_run_at` (the earliest `run_at` of a
-- job that waits, NULL without one) are what claiming looks at, instead of at the backlog.
CREATE TABLE timelines (
    user_id     BLOB    PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch       BLOB    NOT NULL,
    last_seq    INTEGER NOT NULL DEFAULT 0,
    floor_seq   INTEGER NOT NULL DEFAULT 0,
    queued      INTEGER NOT NULL DEFAULT 0,
    running     INTEGER NOT NULL DEFAULT 0,
    next_run_at INTEGER
) STRICT;
CREATE INDEX timelines_waiting ON timelines (running, next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX timelines_next ON timelines (next_run_at) WHERE next_run_at IS NOT NULL;

CREATE TABLE photos (
    id             BLOB    PRIMARY KEY NOT NULL,
    user_id        BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    announced_type TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    format         TEXT,
    width_px       INTEGER,
    height_px      INTEGER,
    size_bytes     INTEGER,
    sha256         TEXT,
    created_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX photos_of_user ON photos (user_id, created_at DESC, id DESC);

CREATE TABLE jobs (
    id               BLOB    PRIMARY KEY NOT NULL,
    user_id          BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    photo_id         BLOB    NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    batch_id         BLOB,
    priority         TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    step             TEXT,
    progress         INTEGER NOT NULL,
    attempt_count    INTEGER NOT NULL,
    retries          INTEGER NOT NULL,
    crashes          INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    run_at           INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    worker           BLOB,
    lease_until      INTEGER,
    result           TEXT,
    failure          TEXT,
    last_seq         INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_of_user ON jobs (user_id, created_at DESC, id DESC);
CREATE INDEX jobs_of_photo ON jobs (photo_id);
CREATE INDEX jobs_waiting ON jobs (user_id, priority, run_at, id)
    WHERE state IN ('pending', 'waiting');
CREATE INDEX jobs_due ON jobs (user_id, run_at) WHERE state IN ('pending', 'waiting');
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'processing';

-- Written in the transaction of the change they tell of. They outlive their job.
CREATE TABLE events (
    user_id         BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    seq             INTEGER NOT NULL,
    job_id          BLOB    NOT NULL,
    previous_of_job INTEGER,
    kind            TEXT    NOT NULL,
    body            TEXT    NOT NULL,
    at              INTEGER NOT NULL,
    PRIMARY KEY (user_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_of_job ON events (job_id, seq);

-- Objects to delete, written in the transaction that made them superfluous. No foreign keys: they
-- outlive what they clean up after.
CREATE TABLE sweeps (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    target     TEXT    NOT NULL,
    user_id    BLOB    NOT NULL,
    subject_id BLOB    NOT NULL,
    due_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX sweeps_due ON sweeps (due_at, id);
