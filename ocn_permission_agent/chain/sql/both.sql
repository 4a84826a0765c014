-- The statements of chain/store.py and chain/decisions.py that both engines understand. :ahead is 0 for the current
-- epoch, 1 for the one being read beside it.

-- name: read_meta
SELECT value FROM meta WHERE key = :key;

-- name: write_meta_once
INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING;

-- name: read_progress
SELECT first_block, scanned_to, complete, synced_once FROM chain_progress
WHERE epoch = (SELECT current FROM chain_epoch) + :ahead;

-- name: write_progress
INSERT INTO chain_progress (epoch, first_block, scanned_to, complete, synced_once)
VALUES ((SELECT current FROM chain_epoch) + :ahead, :first_block, :scanned_to, :complete, :synced_once)
ON CONFLICT (epoch) DO UPDATE SET
    first_block = excluded.first_block,
    scanned_to  = excluded.scanned_to,
    complete    = excluded.complete,
    synced_once = excluded.synced_once;

-- name: read_events
SELECT kind, body FROM chain_events
WHERE epoch = (SELECT current FROM chain_epoch) + :ahead AND block_number > :after AND block_number <= :until
ORDER BY block_number, log_index;

-- name: read_blocks
SELECT number, hash, parent_hash, time_s FROM chain_blocks
WHERE epoch = (SELECT current FROM chain_epoch) + :ahead ORDER BY number;

-- name: drop_events
DELETE FROM chain_events WHERE epoch = (SELECT current FROM chain_epoch) + :ahead AND block_number > :above;

-- name: drop_blocks_above
DELETE FROM chain_blocks WHERE epoch = (SELECT current FROM chain_epoch) + :ahead AND number > :above;

-- name: drop_blocks_below
DELETE FROM chain_blocks WHERE epoch = (SELECT current FROM chain_epoch) + :ahead AND number < :below;

-- name: drop_progress
DELETE FROM chain_progress WHERE epoch = (SELECT current FROM chain_epoch) + :ahead;

-- name: next_epoch
UPDATE chain_epoch SET current = current + 1, rewrites = rewrites + 1;

-- name: count_rewrite
UPDATE chain_epoch SET rewrites = rewrites + 1;

-- name: write_block
INSERT INTO chain_blocks (epoch, number, hash, parent_hash, time_s)
VALUES ((SELECT current FROM chain_epoch) + :ahead, :number, :hash, :parent_hash, :time_s);

-- name: write_event
INSERT INTO chain_events (epoch, block_number, log_index, kind, transaction_hash, body)
VALUES ((SELECT current FROM chain_epoch) + :ahead, :block_number, :log_index, :kind, :transaction_hash, :body);

-- name: add_event
INSERT INTO chain_events (epoch, block_number, log_index, kind, transaction_hash, body)
VALUES ((SELECT current FROM chain_epoch) + :ahead, :block_number, :log_index, :kind, :transaction_hash, :body)
ON CONFLICT DO NOTHING;

-- name: read_decisions
SELECT number, decided_at_us, decided_by, kind, body FROM decisions ORDER BY number;

-- name: marks
SELECT (SELECT revision FROM chain_announcement) AS revision, (SELECT max(number) FROM decisions) AS decision;

-- name: announcement
SELECT revision, block_number, block_hash, polled_at_us, head_age_us, distrust, doubt, endpoints, rewrites
FROM chain_announcement CROSS JOIN chain_epoch;

-- name: announce
INSERT INTO chain_announcement (only_one, revision, block_number, block_hash, polled_at_us, head_age_us, distrust,
                                doubt, endpoints)
VALUES (1, 1, :block_number, :block_hash, :polled_at_us, :head_age_us, :distrust, :doubt, :endpoints)
ON CONFLICT (only_one) DO UPDATE SET
    revision     = chain_announcement.revision + 1,
    block_number = excluded.block_number,
    block_hash   = excluded.block_hash,
    polled_at_us = excluded.polled_at_us,
    head_age_us  = excluded.head_age_us,
    distrust     = excluded.distrust,
    doubt        = excluded.doubt,
    endpoints    = excluded.endpoints;
