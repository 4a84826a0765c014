-- Statements of chain/store.py.

-- name: read_meta
SELECT value FROM meta WHERE key = :key;

-- name: write_meta
INSERT INTO meta (key, value) VALUES (:key, :value);

-- name: read_progress
SELECT first_block, scanned_to, complete, synced_once FROM chain_progress;

-- name: write_progress
INSERT INTO chain_progress (only_one, first_block, scanned_to, complete, synced_once)
VALUES (1, :first_block, :scanned_to, :complete, :synced_once)
ON CONFLICT (only_one) DO UPDATE SET
    first_block = excluded.first_block,
    scanned_to  = excluded.scanned_to,
    complete    = excluded.complete,
    synced_once = excluded.synced_once;

-- name: read_events
SELECT kind, body FROM chain_events
WHERE block_number > :after AND block_number <= :until
ORDER BY block_number, log_index;

-- name: read_blocks
SELECT number, hash, parent_hash, time_s FROM chain_blocks ORDER BY number;

-- name: drop_events
DELETE FROM chain_events WHERE block_number > :above;

-- name: drop_blocks_above
DELETE FROM chain_blocks WHERE number > :above;

-- name: drop_blocks_below
DELETE FROM chain_blocks WHERE number < :below;

-- name: write_block
INSERT INTO chain_blocks (number, hash, parent_hash, time_s) VALUES (:number, :hash, :parent_hash, :time_s);

-- name: write_event
INSERT INTO chain_events (block_number, log_index, kind, transaction_hash, body)
VALUES (:block_number, :log_index, :kind, :transaction_hash, :body);
