-- Webhooks and their deliveries.

-- The kinds of events that some enabled webhook of the user wants, one bit each: a change of a job reads it with
-- the timeline's row, so that it costs nothing without webhooks.
ALTER TABLE timelines ADD COLUMN webhook_kinds INTEGER NOT NULL DEFAULT 0;

-- Secrets are encrypted. `disabled_reason` is NULL while it is enabled. `pending` and `next_due_at` follow from the
-- deliveries with a `due_at`, by the triggers below.
CREATE TABLE webhooks (
    id                    BLOB    PRIMARY KEY NOT NULL,
    user_id               BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    url                   TEXT    NOT NULL,
    description           TEXT    NOT NULL,
    kinds                 INTEGER NOT NULL,
    secret                BLOB    NOT NULL,
    previous_secret       BLOB,
    previous_secret_until INTEGER,
    disabled_reason       TEXT,
    first_failure_at      INTEGER,
    pending               INTEGER NOT NULL DEFAULT 0,
    next_due_at           INTEGER,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL
) STRICT;
CREATE INDEX webhooks_of_user ON webhooks (user_id, created_at, id);
CREATE INDEX webhooks_due ON webhooks (next_due_at) WHERE next_due_at IS NOT NULL;

-- Written in the transaction of the event, whose content they copy: they outlive it. `kind` is NULL for a test
-- message; `body` is NULL for that and once a deleted job's content is erased. `due_at` is set while `state` is
-- 'pending', and moved to the end of the claim by a claim. `queued_at` is the time of the last redelivery.
CREATE TABLE webhook_deliveries (
    id            BLOB    PRIMARY KEY NOT NULL,
    webhook_id    BLOB    NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    kind          TEXT,
    seq           INTEGER,
    job_id        BLOB,
    photo_id      BLOB,
    batch_id      BLOB,
    body          TEXT,
    at            INTEGER,
    state         TEXT    NOT NULL,
    dead_reason   TEXT,
    due_at        INTEGER,
    claims        INTEGER NOT NULL DEFAULT 0,
    is_claimed    INTEGER NOT NULL DEFAULT 0,
    attempt_count INTEGER NOT NULL DEFAULT 0,
    attempts      TEXT    NOT NULL DEFAULT '[]',
    queued_at     INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at, id)
    WHERE due_at IS NOT NULL;
CREATE INDEX webhook_deliveries_of_webhook ON webhook_deliveries (webhook_id, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_of_job ON webhook_deliveries (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (queued_at) WHERE due_at IS NULL;
CREATE INDEX webhook_deliveries_claimed ON webhook_deliveries (is_claimed) WHERE is_claimed = 1;

CREATE TRIGGER webhooks_follow_new_deliveries AFTER INSERT ON webhook_deliveries
WHEN NEW.due_at IS NOT NULL
BEGIN
    UPDATE webhooks SET pending = pending + 1,
                        next_due_at = min(coalesce(next_due_at, NEW.due_at), NEW.due_at)
    WHERE id = NEW.webhook_id;
END;
CREATE TRIGGER webhooks_follow_changed_deliveries AFTER UPDATE OF due_at ON webhook_deliveries
WHEN NEW.due_at IS NOT OLD.due_at
BEGIN
    UPDATE webhooks SET pending = pending + (NEW.due_at IS NOT NULL) - (OLD.due_at IS NOT NULL),
                        next_due_at = (SELECT min(due_at) FROM webhook_deliveries
                                       WHERE webhook_id = NEW.webhook_id AND due_at IS NOT NULL)
    WHERE id = NEW.webhook_id;
END;
CREATE TRIGGER webhooks_follow_deleted_deliveries AFTER DELETE ON webhook_deliveries
WHEN OLD.due_at IS NOT NULL
BEGIN
    UPDATE webhooks SET pending = pending - 1,
                        next_due_at = (SELECT min(due_at) FROM webhook_deliveries
                                       WHERE webhook_id = OLD.webhook_id AND due_at IS NOT NULL)
    WHERE id = OLD.webhook_id;
END;
