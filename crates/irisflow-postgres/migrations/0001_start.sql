-- Accounts, photos, jobs and their events. Times are milliseconds since the Unix epoch (UTC), by the clock of the
-- database. Forward only: a later change is a later file, and the previous version of the program must still run on
-- its schema.
--
-- Lock order, everywhere: the rows of `timelines` of the users concerned, by user id; then all other rows. A
-- transaction that changes what belongs to a user locks that row first.

-- When the present statement began: stable, so that an index can be searched by it.
CREATE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint';
-- The moment of the call: for a time that must not be older than the wait for a lock.
CREATE FUNCTION clock_ms() RETURNS BIGINT LANGUAGE sql VOLATILE
    AS 'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

CREATE TABLE users (
    id            UUID    PRIMARY KEY,
    email         TEXT    COLLATE "C" NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    is_active     BOOLEAN NOT NULL DEFAULT TRUE,
    is_verified   BOOLEAN NOT NULL DEFAULT FALSE,
    is_admin      BOOLEAN NOT NULL DEFAULT FALSE,
    created_at    BIGINT  NOT NULL
);

CREATE TABLE sessions (
    id           UUID   PRIMARY KEY,
    user_id      UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    ended_at     BIGINT,
    device       TEXT
);
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_expiring ON sessions (expires_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

-- All refresh tokens of a session, by SHA-256: reuse of a spent one shows that it was copied.
CREATE TABLE refresh_tokens (
    hash       BYTEA PRIMARY KEY,
    session_id UUID  NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    spent_at   BIGINT
);
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_spent ON refresh_tokens (spent_at) WHERE spent_at IS NOT NULL;
CREATE INDEX refresh_tokens_spent_of_session ON refresh_tokens (session_id, spent_at)
    WHERE spent_at IS NOT NULL;

-- Single-use tickets for sockets, by SHA-256. `access_expires_at` is the end of the access token that the ticket was
-- made with.
CREATE TABLE socket_tickets (
    hash              BYTEA  PRIMARY KEY,
    session_id        UUID   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at        BIGINT NOT NULL,
    access_expires_at BIGINT NOT NULL
);
CREATE INDEX socket_tickets_expiry ON socket_tickets (expires_at);
CREATE INDEX socket_tickets_of_session ON socket_tickets (session_id);

-- Numbers the claims of all users. A sequence and not a time, so that a step of the clock changes no order; not a row,
-- so that claims do not wait for each other.
CREATE SEQUENCE claim_marks;

-- One row per user. `epoch` changes when the database is restored; `last_seq` is the newest event, events up to
-- `floor_seq` have been pruned. `queued` and `running` count the user's jobs, `next_run_at` is the earliest `run_at` of
-- a job that waits (NULL without one), `claim_mark` is the number of the user's newest claim (0 before the first):
-- claiming looks at these instead of at the backlog. `webhook_kinds` are the kinds of events that some enabled webhook
-- of the user wants, one bit each.
CREATE TABLE timelines (
    user_id       UUID   PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    epoch         UUID   NOT NULL,
    last_seq      BIGINT NOT NULL DEFAULT 0,
    floor_seq     BIGINT NOT NULL DEFAULT 0,
    queued        BIGINT NOT NULL DEFAULT 0,
    running       BIGINT NOT NULL DEFAULT 0,
    next_run_at   BIGINT,
    claim_mark    BIGINT NOT NULL DEFAULT 0,
    webhook_kinds BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.05);
-- Claiming walks this index and stops at the first user with a job that is due.
CREATE INDEX timelines_claim_order ON timelines (running, claim_mark, next_run_at, user_id)
    WHERE next_run_at IS NOT NULL;
CREATE INDEX timelines_next ON timelines (next_run_at) WHERE next_run_at IS NOT NULL;
-- The length of the queue is the sum over the users with unfinished jobs: a row of totals would make every transaction
-- wait for every other.
CREATE INDEX timelines_busy ON timelines (queued, running) WHERE queued > 0 OR running > 0;

-- Each intake of an upload has a number, and its objects lie under keys that hold it: `intakes` counts those that have
-- begun, `intake` is the recorded one. `decode_bytes` is the memory that decoding takes, `incoming_bytes` what was
-- uploaded and is not confirmed.
CREATE TABLE photos (
    id              UUID   PRIMARY KEY,
    user_id         UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    announced_type  TEXT   NOT NULL,
    status          TEXT   NOT NULL,
    format          TEXT,
    width_px        BIGINT,
    height_px       BIGINT,
    size_bytes      BIGINT,
    sha256          TEXT,
    intakes         BIGINT NOT NULL DEFAULT 0,
    intake          BIGINT,
    thumbnail_bytes BIGINT,
    decode_bytes    BIGINT,
    incoming_bytes  BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE INDEX photos_of_user ON photos (user_id, created_at DESC, id DESC)
    INCLUDE (size_bytes, thumbnail_bytes, incoming_bytes);
CREATE INDEX photos_by_age ON photos (created_at) WHERE status <> 'expired';
CREATE INDEX photos_unconfirmed ON photos (user_id) WHERE status IN ('pending', 'failed');

-- The idempotency key of a request, with its response. Jobs name it by `submission_id` without a foreign key, so that
-- an expired key is deleted without touching rows of its jobs.
CREATE TABLE submissions (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key         TEXT   COLLATE "C" NOT NULL,
    fingerprint BYTEA  NOT NULL,
    memo        TEXT   NOT NULL,
    expires_at  BIGINT NOT NULL,
    UNIQUE (user_id, key)
);
CREATE INDEX submissions_expiry ON submissions (expires_at);

-- Jobs that were submitted together. `size` counts those deleted since, so that the progress of the whole never goes
-- back.
CREATE TABLE batches (
    id         UUID   PRIMARY KEY,
    user_id    UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    size       BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX batches_of_user ON batches (user_id);

-- `position` is the order of insertion. A checkpoint and a heartbeat change no indexed column, so that they are heap-only
-- updates: therefore `ended_at` beside `updated_at`, and no index has `lease_until`. `options`, `result`, `failure` and
-- `previews` (those of the running or the successful attempt, NULL: none) are JSON as text.
CREATE TABLE jobs (
    id               UUID    PRIMARY KEY,
    position         BIGINT  GENERATED ALWAYS AS IDENTITY,
    user_id          UUID    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    photo_id         UUID    NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    batch_id         UUID,
    submission_id    BIGINT,
    priority         TEXT    NOT NULL,
    options          TEXT,
    state            TEXT    NOT NULL,
    step             TEXT,
    progress         BIGINT  NOT NULL,
    attempt_count    BIGINT  NOT NULL,
    retries          BIGINT  NOT NULL,
    crashes          BIGINT  NOT NULL,
    epoch            BIGINT  NOT NULL,
    run_at           BIGINT  NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    worker           UUID,
    lease_until      BIGINT,
    result           TEXT,
    stored_bytes     BIGINT,
    failure          TEXT,
    previews         TEXT,
    last_seq         BIGINT  NOT NULL,
    created_at       BIGINT  NOT NULL,
    updated_at       BIGINT  NOT NULL,
    ended_at         BIGINT
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX jobs_of_user ON jobs (user_id, created_at DESC, id DESC);
CREATE INDEX jobs_of_photo ON jobs (photo_id);
CREATE INDEX jobs_of_batch ON jobs (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX jobs_of_submission ON jobs (submission_id) WHERE submission_id IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (user_id, priority, run_at, id)
    WHERE state IN ('pending', 'waiting');
CREATE INDEX jobs_due ON jobs (user_id, run_at) WHERE state IN ('pending', 'waiting');
CREATE INDEX jobs_leased ON jobs (user_id) WHERE state = 'processing';
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX jobs_bytes ON jobs (user_id, stored_bytes) WHERE state = 'completed';

-- Written in the transaction of the change that they record. They outlive their job.
CREATE TABLE events (
    user_id         UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    seq             BIGINT NOT NULL,
    job_id          UUID   NOT NULL,
    photo_id        UUID,
    batch_id        UUID,
    previous_of_job BIGINT,
    kind            TEXT   NOT NULL,
    body            TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    PRIMARY KEY (user_id, seq)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX events_of_job ON events (job_id, seq);
CREATE INDEX events_by_age ON events (at);

-- How long the steps of finished jobs took. Names no job and no user.
CREATE TABLE step_times (
    id                      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pixels                  BIGINT NOT NULL,
    loading_ms              BIGINT NOT NULL,
    segmenting_ms           BIGINT NOT NULL,
    removing_reflections_ms BIGINT NOT NULL,
    enhancing_ms            BIGINT NOT NULL,
    saving_ms               BIGINT NOT NULL
);

-- The worker processes that have reported.
CREATE TABLE workers (
    id      UUID   PRIMARY KEY,
    slots   BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

-- Objects to delete, written in the transaction that made them superfluous. No foreign keys: they outlive what they
-- clean up after. A deletion that fails is due again later, after ever longer waits.
CREATE TABLE sweeps (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target     TEXT   NOT NULL,
    user_id    UUID   NOT NULL,
    subject_id UUID   NOT NULL,
    due_at     BIGINT NOT NULL,
    failures   BIGINT NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX sweeps_due ON sweeps (due_at, id);
CREATE INDEX sweeps_of_subject ON sweeps (subject_id);
CREATE INDEX sweeps_of_user ON sweeps (user_id);

CREATE TABLE consents (
    id           UUID   PRIMARY KEY,
    user_id      UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    consent_type TEXT   NOT NULL,
    jurisdiction TEXT   NOT NULL,
    text_version TEXT   NOT NULL,
    granted_at   BIGINT NOT NULL,
    withdrawn_at BIGINT
);
CREATE INDEX consents_of_user ON consents (user_id, granted_at DESC);

-- Names no user. `destroyed` counts rows, `objects` is set once they are deleted.
CREATE TABLE deletion_receipts (
    id        UUID   PRIMARY KEY,
    at        BIGINT NOT NULL,
    destroyed TEXT   NOT NULL,
    objects   BIGINT
);

-- The row that readiness writes.
CREATE TABLE health_checks (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    at BIGINT NOT NULL
);

-- Secrets are encrypted. `disabled_reason` is NULL while it is enabled. `pending` and `next_due_at` follow from the
-- deliveries with a `due_at`, by the triggers below. Its row is locked before those of its deliveries.
CREATE TABLE webhooks (
    id                    UUID   PRIMARY KEY,
    user_id               UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    url                   TEXT   NOT NULL,
    description           TEXT   NOT NULL,
    kinds                 BIGINT NOT NULL,
    secret                BYTEA  NOT NULL,
    previous_secret       BYTEA,
    previous_secret_until BIGINT,
    disabled_reason       TEXT,
    first_failure_at      BIGINT,
    pending               BIGINT NOT NULL DEFAULT 0,
    next_due_at           BIGINT,
    created_at            BIGINT NOT NULL,
    updated_at            BIGINT NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX webhooks_of_user ON webhooks (user_id, created_at, id);
CREATE INDEX webhooks_due ON webhooks (next_due_at) WHERE next_due_at IS NOT NULL;

-- Written in the transaction of the event, whose content they copy: they outlive it. `kind` is NULL for a test message;
-- `body` is NULL for that and once a deleted job's content is erased. `due_at` is set while `state` is 'pending', and
-- moved to the end of the claim by a claim. `queued_at` is the time of the last redelivery.
CREATE TABLE webhook_deliveries (
    id            UUID    PRIMARY KEY,
    webhook_id    UUID    NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    kind          TEXT,
    seq           BIGINT,
    job_id        UUID,
    photo_id      UUID,
    batch_id      UUID,
    body          TEXT,
    at            BIGINT,
    state         TEXT    NOT NULL,
    dead_reason   TEXT,
    due_at        BIGINT,
    claims        BIGINT  NOT NULL DEFAULT 0,
    is_claimed    BOOLEAN NOT NULL DEFAULT FALSE,
    attempt_count BIGINT  NOT NULL DEFAULT 0,
    attempts      TEXT    NOT NULL DEFAULT '[]',
    queued_at     BIGINT  NOT NULL,
    created_at    BIGINT  NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at, id)
    WHERE due_at IS NOT NULL;
CREATE INDEX webhook_deliveries_of_webhook ON webhook_deliveries (webhook_id, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_of_job ON webhook_deliveries (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (queued_at) WHERE due_at IS NULL;

CREATE FUNCTION webhooks_follow_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE webhooks
    SET pending = pending
            + (TG_OP <> 'DELETE' AND NEW.due_at IS NOT NULL)::int
            - (TG_OP <> 'INSERT' AND OLD.due_at IS NOT NULL)::int,
        next_due_at = (SELECT min(due_at) FROM webhook_deliveries
                       WHERE webhook_id = webhooks.id AND due_at IS NOT NULL)
    WHERE id = CASE WHEN TG_OP = 'DELETE' THEN OLD.webhook_id ELSE NEW.webhook_id END;
    RETURN NULL;
END
$$;
CREATE TRIGGER webhooks_follow_new_deliveries AFTER INSERT ON webhook_deliveries
    FOR EACH ROW WHEN (NEW.due_at IS NOT NULL) EXECUTE FUNCTION webhooks_follow_deliveries();
CREATE TRIGGER webhooks_follow_changed_deliveries AFTER UPDATE OF due_at ON webhook_deliveries
    FOR EACH ROW WHEN (NEW.due_at IS DISTINCT FROM OLD.due_at) EXECUTE FUNCTION webhooks_follow_deliveries();
CREATE TRIGGER webhooks_follow_deleted_deliveries AFTER DELETE ON webhook_deliveries
    FOR EACH ROW WHEN (OLD.due_at IS NOT NULL) EXECUTE FUNCTION webhooks_follow_deliveries();
