-- The statements of ledger/store.py. The schema with its comments: store/migrations/postgres/0005_ledger.sql

-- name: get_chain
SELECT customer_address, first_number, link_before, last_number, last_link FROM ledger_chains
WHERE customer_address = $1;

-- name: lock_chain
-- Entries of one customer are chained one after the other, whoever adds them.
SELECT last_number, last_link FROM ledger_chains WHERE customer_address = $1 FOR UPDATE;

-- name: add_chain
INSERT INTO ledger_chains (customer_address, first_number, link_before, last_number, last_link)
VALUES ($1, 1, $2, 0, $3);

-- name: add_entry
INSERT INTO ledger_entries (customer_address, number, ended_at_us, salt, entry, commitment, link)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: chain_has_grown
UPDATE ledger_chains SET last_number = $1, last_link = $2 WHERE customer_address = $3;

-- name: customers
SELECT customer_address FROM ledger_chains ORDER BY customer_address;

-- name: get_entries
SELECT number, salt, entry, commitment, link FROM ledger_entries
WHERE customer_address = :customer_address AND number > :after ORDER BY number LIMIT nullif(:most::bigint, -1);

-- name: get_checkpoints
SELECT number, statement, signature FROM ledger_checkpoints WHERE customer_address = :customer_address ORDER BY number;

-- name: to_seal
SELECT customer_address, last_number, last_link FROM ledger_chains
WHERE last_number > sealed_number AND (sealed_at_us <= :before OR last_number - sealed_number >= :entries)
ORDER BY customer_address LIMIT :most FOR UPDATE;

-- name: add_checkpoint
INSERT INTO ledger_checkpoints (customer_address, number, statement, signature)
VALUES (:customer_address, :number, :statement, :signature);

-- name: chain_is_sealed
UPDATE ledger_chains SET sealed_number = :number, sealed_at_us = :now WHERE customer_address = :customer_address;

-- name: customers_to_purge
SELECT DISTINCT customer_address FROM ledger_entries WHERE ended_at_us < :before ORDER BY customer_address LIMIT :most;

-- name: oldest_entries
SELECT number, ended_at_us, link FROM ledger_entries
WHERE customer_address = :customer_address ORDER BY number LIMIT :most;

-- name: forget_entries
DELETE FROM ledger_entries WHERE customer_address = :customer_address AND number <= :through;

-- name: forget_checkpoints
DELETE FROM ledger_checkpoints WHERE customer_address = :customer_address AND number <= :through;

-- name: chain_begins_later
UPDATE ledger_chains SET first_number = :first_number, link_before = :link_before
WHERE customer_address = :customer_address;
