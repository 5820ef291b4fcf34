-- Each intake of an upload has a number, and its objects lie under keys that hold it: `intakes` counts
-- those that have begun, `intake` is the recorded one (NULL: taken in before intakes had numbers).
ALTER TABLE photos ADD COLUMN intakes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE photos ADD COLUMN intake INTEGER;
-- NULL: it has no thumbnail.
ALTER TABLE photos ADD COLUMN thumbnail_bytes INTEGER;
-- Memory that decoding takes. NULL: not known.
ALTER TABLE photos ADD COLUMN decode_bytes INTEGER;
-- What was uploaded and is not confirmed.
ALTER TABLE photos ADD COLUMN incoming_bytes INTEGER NOT NULL DEFAULT 0;
-- NULL: as old as the photo.
ALTER TABLE photos ADD COLUMN updated_at INTEGER;
-- What a finished job's objects take.
ALTER TABLE jobs ADD COLUMN stored_bytes INTEGER
    GENERATED ALWAYS AS (json_extract(result, '$.stored_bytes')) VIRTUAL;

-- What a user stores is summed up from these alone.
CREATE INDEX photos_bytes
    ON photos (user_id, id, size_bytes, thumbnail_bytes, incoming_bytes);
CREATE INDEX jobs_bytes ON jobs (user_id, stored_bytes) WHERE state = 'completed';
CREATE INDEX photos_unconfirmed ON photos (user_id) WHERE status IN ('pending', 'failed');

-- A photo that is never confirmed goes with the last sweep of its upload; those whose sweep is done get
-- another one.
INSERT INTO sweeps (target, user_id, subject_id, due_at)
    SELECT 'incoming', user_id, id, created_at + 1980000 FROM photos
    WHERE status IN ('pending', 'failed');
