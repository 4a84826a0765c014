-- What makes several agents on one store one system. A store that only one agent can use has these tables too, unused.

-- What one agent does at a time: to watch the chain and write of it, to start, to settle a gathering. Taking over
-- raises the number, and every write of a watcher demands that it is still its own. While it works the holder raises
-- the beat; who sees that standing still for the length of the lease, by its own clock, may take over. So no two clocks
-- are ever compared.
CREATE TABLE leases (
    name   TEXT PRIMARY KEY CHECK (name IN ('watcher', 'start', 'gathering')),
    number INTEGER NOT NULL CHECK (number >= 0),
    holder TEXT,                                         -- agent; NULL: nobody has it
    beat   INTEGER NOT NULL CHECK (beat >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO leases (name, number, holder, beat)
VALUES ('watcher', 0, NULL, 0), ('start', 0, NULL, 0), ('gathering', 0, NULL, 0);

-- What the holder makes of the chain, for the others; one row. The blocks and events are in the chain's own tables.
CREATE TABLE chain_announcement (
    only_one     INTEGER PRIMARY KEY CHECK (only_one = 1),
    revision     INTEGER NOT NULL CHECK (revision >= 0), -- grows with each announcement
    block_number INTEGER NOT NULL,
    block_hash   TEXT NOT NULL CHECK (length(block_hash) = 66),
    polled_at_us INTEGER NOT NULL,                       -- by the holder's wall clock
    head_age_us  INTEGER CHECK (head_age_us >= 0),       -- then, since its head last advanced; NULL: not polled yet
    distrust     TEXT,                                   -- why everything is closed (C12); NULL: it is not
    doubt        TEXT,                                   -- why everything is held (C8); NULL: it is not
    endpoints    TEXT NOT NULL CHECK (json_valid(endpoints)) -- how the holder's endpoints are doing
) STRICT;

-- Counts what was changed behind the newest block, and not just added on top: whoever follows reads everything anew.
ALTER TABLE chain_epoch ADD COLUMN rewrites INTEGER NOT NULL DEFAULT 0 CHECK (rewrites >= 0);

-- The agents that use this store. An agent that leaves in good order deletes its row.
CREATE TABLE agents (
    id            TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64), -- of its folder, the same after a restart
    host          TEXT NOT NULL,                         -- name of its machine, for people
    version       TEXT NOT NULL,
    started_at_us INTEGER NOT NULL,
    seen_at_us    INTEGER NOT NULL,                      -- by its own clock
    beat          INTEGER NOT NULL CHECK (beat >= 0),
    spool_bytes   INTEGER NOT NULL CHECK (spool_bytes >= 0), -- what waits in its spool
    met           INTEGER NOT NULL                       -- the newest gathering to which it has brought all of its spool
) STRICT, WITHOUT ROWID;

-- A store that was put back from a backup begins a new era. Agents keep theirs in a file beside their spool.
CREATE TABLE store_eras (
    number      INTEGER PRIMARY KEY CHECK (number > 0),
    token       TEXT NOT NULL UNIQUE CHECK (length(token) BETWEEN 1 AND 64),
    begun_at_us INTEGER NOT NULL
) STRICT;

-- Spools of several agents, brought together before anything new is recorded, so that each object keeps its order over
-- an outage whichever agents a customer spoke to. While a gathering is open all copies go into `gathered`; once every
-- agent that lives has brought its spool they are recorded by the time they were said at, and the gathering is closed.
-- One begins when an agent has something in its spool, and whenever the database was started anew.
CREATE TABLE gathering (
    only_one  INTEGER PRIMARY KEY CHECK (only_one = 1),
    number    INTEGER NOT NULL CHECK (number >= 0),      -- of the newest gathering
    open      INTEGER NOT NULL CHECK (open IN (0, 1)),
    server_us INTEGER NOT NULL                           -- start of the database server that the newest is of
) STRICT;
INSERT INTO gathering (only_one, number, open, server_us) VALUES (1, 0, 0, 0);
CREATE TABLE gathered (
    id         INTEGER PRIMARY KEY,
    said_at_us INTEGER NOT NULL,                         -- by the clock of the agent that it was said to
    payload    BLOB NOT NULL                             -- a plan, as in a spool
) STRICT;
CREATE INDEX gathered_in_order ON gathered (said_at_us, id);
