-- What the operator decided beside the chain, in the order of deciding. Rows are never changed or deleted: what holds
-- now is their fold, and they are the audit of it.
CREATE TABLE decisions (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    decided_at_us INTEGER NOT NULL,                             -- microseconds since 1970-01-01 UTC
    decided_by    TEXT NOT NULL CHECK (length(decided_by) BETWEEN 1 AND 200),
    kind          TEXT NOT NULL,                                -- class of the decision, such as StopAdded
    body          TEXT NOT NULL CHECK (json_valid(body))
) STRICT;

-- A reading of the chain from its start is an epoch. When the chain was reorganised deeper than we remember blocks, a
-- new epoch is read beside the old one and takes its place only once it is complete: nothing is overwritten meanwhile.
CREATE TABLE chain_epoch (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    current  INTEGER NOT NULL CHECK (current >= 0)
) STRICT;
INSERT INTO chain_epoch (only_one, current) VALUES (1, 0);

CREATE TABLE epoch_events (
    epoch            INTEGER NOT NULL,
    block_number     INTEGER NOT NULL CHECK (block_number >= 0),
    log_index        INTEGER NOT NULL CHECK (log_index >= 0),   -- from 1000000000 on: observed in the state, no log
    kind             TEXT NOT NULL,                             -- class of the event, such as AgreementToggled
    transaction_hash TEXT CHECK (transaction_hash IS NULL OR length(transaction_hash) = 66),
    body             TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (epoch, block_number, log_index),
    CHECK ((transaction_hash IS NULL) = (log_index >= 1000000000))
) STRICT, WITHOUT ROWID;
INSERT INTO epoch_events SELECT 0, block_number, log_index, kind, transaction_hash, body FROM chain_events;
DROP TABLE chain_events;
ALTER TABLE epoch_events RENAME TO chain_events;

CREATE TABLE epoch_blocks (
    epoch       INTEGER NOT NULL,
    number      INTEGER NOT NULL CHECK (number >= 0),
    hash        TEXT NOT NULL CHECK (length(hash) = 66),
    parent_hash TEXT NOT NULL CHECK (length(parent_hash) = 66),
    time_s      INTEGER NOT NULL,                               -- of the header, Unix seconds
    PRIMARY KEY (epoch, number)
) STRICT, WITHOUT ROWID;
INSERT INTO epoch_blocks SELECT 0, number, hash, parent_hash, time_s FROM chain_blocks;
DROP TABLE chain_blocks;
ALTER TABLE epoch_blocks RENAME TO chain_blocks;

CREATE TABLE epoch_progress (
    epoch       INTEGER PRIMARY KEY,
    first_block INTEGER NOT NULL CHECK (first_block >= 0),      -- where reading begins
    scanned_to  INTEGER NOT NULL,                               -- logs up to this block are stored, -1 for none
    complete    INTEGER NOT NULL CHECK (complete IN (0, 1)),    -- 0: logs were stored whose state was not read yet
    synced_once INTEGER NOT NULL CHECK (synced_once IN (0, 1)), -- a first sync was completed at some time
    CHECK (complete = 0 OR synced_once = 1)
) STRICT;
INSERT INTO epoch_progress SELECT 0, first_block, scanned_to, complete, synced_once FROM chain_progress;
DROP TABLE chain_progress;
ALTER TABLE epoch_progress RENAME TO chain_progress;
