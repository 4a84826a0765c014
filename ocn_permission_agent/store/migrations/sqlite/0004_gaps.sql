-- Copies that were due, or may have been, and will never exist. Of one reason and hour the first thousand have a row
-- each; what comes beyond is counted in one row, so a flood of gaps stays small.
CREATE TABLE gaps (
    id             INTEGER PRIMARY KEY,
    reason         TEXT NOT NULL,                        -- as the label of gaps_total
    hour_us        INTEGER NOT NULL,                     -- the full hour before the first
    detailed       INTEGER NOT NULL CHECK (detailed IN (0, 1)), -- 0: a count of those beyond the thousand
    first_at_us    INTEGER NOT NULL,
    last_at_us     INTEGER NOT NULL,
    count          INTEGER NOT NULL CHECK (count > 0),
    module         TEXT NOT NULL DEFAULT '',             -- from here on: '' where it is not known
    method         TEXT NOT NULL DEFAULT '',
    customer       TEXT NOT NULL DEFAULT '',             -- DE*CPO
    object_id      TEXT NOT NULL DEFAULT '',
    correlation_id TEXT NOT NULL DEFAULT '',
    CHECK (detailed = 0 OR count = 1),
    CHECK (first_at_us <= last_at_us)
) STRICT;
CREATE UNIQUE INDEX gaps_summed ON gaps (reason, hour_us) WHERE detailed = 0;
CREATE INDEX gaps_by_hour ON gaps (reason, hour_us, detailed);
CREATE INDEX gaps_by_correlation ON gaps (correlation_id) WHERE correlation_id <> '';
