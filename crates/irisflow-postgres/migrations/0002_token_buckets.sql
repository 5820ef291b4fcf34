-- Rate limits that hold over all nodes. Microseconds since the Unix epoch, by the clock of the database.

CREATE FUNCTION clock_us() RETURNS BIGINT LANGUAGE sql VOLATILE
    AS 'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint';

-- A bucket without a row is full, and one with a row at `full_at_us`. `is_taken`: whether the last request got a token.
-- A crash of the server empties the table, which makes all buckets full.
CREATE UNLOGGED TABLE token_buckets (
    key        BYTEA   PRIMARY KEY,
    full_at_us BIGINT  NOT NULL,
    is_taken   BOOLEAN NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX token_buckets_full ON token_buckets (full_at_us);
