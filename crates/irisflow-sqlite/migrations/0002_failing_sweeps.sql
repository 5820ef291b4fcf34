-- A deletion that fails comes again later, after ever longer waits: it must not hold others up.
ALTER TABLE sweeps ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
-- Whether a deleted job or photo has sweeps to come.
CREATE INDEX sweeps_of_subject ON sweeps (subject_id);
