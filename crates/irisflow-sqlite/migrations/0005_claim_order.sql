-- Claiming goes round the users: of those with the fewest running jobs the one served longest ago.
-- `claim_mark` numbers the claims of all users and holds the user's newest one, 0 before the first. A
-- counter and not a time, so that a step of the clock changes no order.
ALTER TABLE timelines ADD COLUMN claim_mark INTEGER NOT NULL DEFAULT 0;
UPDATE timelines SET claim_mark = served.mark FROM (
    SELECT user_id, row_number() OVER (ORDER BY max(updated_at), user_id) AS mark
    FROM jobs WHERE epoch > 0 GROUP BY user_id
) AS served WHERE served.user_id = timelines.user_id;
-- Claiming walks this index and stops at the first user with a job that is due.
CREATE INDEX timelines_claim_order ON timelines (running, claim_mark, next_run_at, user_id)
    WHERE next_run_at IS NOT NULL;
DROP INDEX timelines_waiting;

-- One row: the sums of the users' counters, so that nothing has to look at all users, and the number
-- of claims so far.
CREATE TABLE queue_totals (
    id      INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    waiting INTEGER NOT NULL,
    running INTEGER NOT NULL,
    claims  INTEGER NOT NULL
) STRICT;
INSERT INTO queue_totals (id, waiting, running, claims)
    SELECT 1, coalesce(sum(queued), 0), coalesce(sum(running), 0), coalesce(max(claim_mark), 0)
    FROM timelines;
CREATE TRIGGER queue_totals_follow_counters AFTER UPDATE OF queued, running ON timelines
WHEN NEW.queued <> OLD.queued OR NEW.running <> OLD.running
BEGIN
    UPDATE queue_totals SET waiting = waiting + NEW.queued - OLD.queued,
                            running = running + NEW.running - OLD.running;
END;
CREATE TRIGGER queue_totals_follow_deletion AFTER DELETE ON timelines
WHEN OLD.queued <> 0 OR OLD.running <> 0
BEGIN
    UPDATE queue_totals SET waiting = waiting - OLD.queued, running = running - OLD.running;
END;

-- With `state`, a user's waiting jobs are read in order from the index alone.
DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (user_id, priority, run_at, id, state)
    WHERE state IN ('pending', 'waiting');
