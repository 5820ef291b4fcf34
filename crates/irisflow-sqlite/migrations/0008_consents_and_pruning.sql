-- Consents can be withdrawn and name whose law they were asked under; old sessions and spent refresh
-- tokens are found by their age, so that they can be pruned.

ALTER TABLE consents ADD COLUMN jurisdiction TEXT NOT NULL DEFAULT 'generic';
ALTER TABLE consents ADD COLUMN withdrawn_at INTEGER;

CREATE INDEX sessions_expiring ON sessions (expires_at);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX refresh_tokens_spent ON refresh_tokens (spent_at) WHERE spent_at IS NOT NULL;
CREATE INDEX refresh_tokens_spent_of_session ON refresh_tokens (session_id, spent_at)
    WHERE spent_at IS NOT NULL;
