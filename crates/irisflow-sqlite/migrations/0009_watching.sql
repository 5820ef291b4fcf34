-- Watchers of a user filter events by batch and show the photo.
ALTER TABLE events ADD COLUMN photo_id BLOB;
ALTER TABLE events ADD COLUMN batch_id BLOB;
UPDATE events SET photo_id = jobs.photo_id, batch_id = jobs.batch_id
    FROM jobs WHERE jobs.id = events.job_id;

-- For pruning old events.
CREATE INDEX events_by_age ON events (at);

-- Single-use tickets for sockets, by SHA-256. `access_expires_at` is the end of the access token that the
-- ticket was made with.
CREATE TABLE socket_tickets (
    hash              BLOB    PRIMARY KEY NOT NULL,
    session_id        BLOB    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at        INTEGER NOT NULL,
    access_expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX socket_tickets_expiry ON socket_tickets (expires_at);
CREATE INDEX socket_tickets_of_session ON socket_tickets (session_id);
