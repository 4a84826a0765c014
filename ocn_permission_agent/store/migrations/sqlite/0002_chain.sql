-- What the chain said. All facts about consent are the fold of these events, in the order of their positions.

-- Logs of the two contracts, and what we saw in the state when that differed from what the logs said.
CREATE TABLE chain_events (
    block_number     INTEGER NOT NULL CHECK (block_number >= 0),
    log_index        INTEGER NOT NULL CHECK (log_index >= 0),   -- from 1000000000 on: observed in the state, no log
    kind             TEXT NOT NULL,                             -- class of the event, such as AgreementToggled
    transaction_hash TEXT CHECK (transaction_hash IS NULL OR length(transaction_hash) = 66),
    body             TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (block_number, log_index),
    CHECK ((transaction_hash IS NULL) = (log_index >= 1000000000))
) STRICT, WITHOUT ROWID;

-- The newest blocks that we stand on, each the parent of the next: by these a reorganisation is noticed.
CREATE TABLE chain_blocks (
    number      INTEGER PRIMARY KEY CHECK (number >= 0),
    hash        TEXT NOT NULL CHECK (length(hash) = 66),
    parent_hash TEXT NOT NULL CHECK (length(parent_hash) = 66),
    time_s      INTEGER NOT NULL                                -- of the header, Unix seconds
) STRICT;

-- How far reading has come; one row.
CREATE TABLE chain_progress (
    only_one    INTEGER PRIMARY KEY CHECK (only_one = 1),
    first_block INTEGER NOT NULL CHECK (first_block >= 0),      -- where reading begins
    scanned_to  INTEGER NOT NULL,                               -- logs up to this block are stored, -1 for none
    complete    INTEGER NOT NULL CHECK (complete IN (0, 1)),    -- 0: logs were stored whose state was not read yet
    synced_once INTEGER NOT NULL CHECK (synced_once IN (0, 1)), -- a first sync was completed at some time
    CHECK (complete = 0 OR synced_once = 1)
) STRICT;
