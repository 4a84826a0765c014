-- What the chain said. All facts about consent are the fold of these events, in the order of their positions.

-- A reading of the chain from its start is an epoch. When the chain was reorganised deeper than we remember blocks, a
-- new epoch is read beside the old one and takes its place only once it is complete: nothing is overwritten meanwhile.
CREATE TABLE chain_epoch (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    current  BIGINT NOT NULL CHECK (current >= 0)
);
INSERT INTO chain_epoch (only_one, current) VALUES (1, 0);

-- Logs of the two contracts, and what we saw in the state when that differed from what the logs said.
CREATE TABLE chain_events (
    epoch            BIGINT NOT NULL,
    block_number     BIGINT NOT NULL CHECK (block_number >= 0),
    log_index        BIGINT NOT NULL CHECK (log_index >= 0),    -- from 1000000000 on: observed in the state, no log
    kind             TEXT NOT NULL,                             -- class of the event, such as AgreementToggled
    transaction_hash TEXT CHECK (transaction_hash IS NULL OR length(transaction_hash) = 66),
    body             TEXT NOT NULL,                             -- JSON text, read back as it was written
    PRIMARY KEY (epoch, block_number, log_index),
    CHECK ((transaction_hash IS NULL) = (log_index >= 1000000000))
);

-- The newest blocks that we stand on, each the parent of the next: by these a reorganisation is noticed.
CREATE TABLE chain_blocks (
    epoch       BIGINT NOT NULL,
    number      BIGINT NOT NULL CHECK (number >= 0),
    hash        TEXT NOT NULL CHECK (length(hash) = 66),
    parent_hash TEXT NOT NULL CHECK (length(parent_hash) = 66),
    time_s      BIGINT NOT NULL,                                -- of the header, Unix seconds
    PRIMARY KEY (epoch, number)
);

-- How far reading has come; one row of each epoch.
CREATE TABLE chain_progress (
    epoch       BIGINT PRIMARY KEY,
    first_block BIGINT NOT NULL CHECK (first_block >= 0),       -- where reading begins
    scanned_to  BIGINT NOT NULL,                                -- logs up to this block are stored, -1 for none
    complete    BOOLEAN NOT NULL,                               -- false: logs were stored whose state was not read yet
    synced_once BOOLEAN NOT NULL,                               -- a first sync was completed at some time
    CHECK (synced_once OR NOT complete)
);
