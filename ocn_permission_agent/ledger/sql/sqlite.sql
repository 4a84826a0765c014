-- The statements of ledger/store.py that each engine is told in its own way; the others: both.sql
-- The schema with its comments: store/migrations/sqlite/0005_ledger.sql

-- name: get_chain
SELECT customer_address, first_number, link_before, last_number, last_link FROM ledger_chains
WHERE customer_address = ?;

-- name: lock_chains
-- There is one writer: it needs no lock.
SELECT customer_address, last_number, last_link FROM ledger_chains
WHERE customer_address IN (SELECT value FROM json_each(:customers));

-- name: add_chain
INSERT INTO ledger_chains (customer_address, first_number, link_before, last_number, last_link)
VALUES (?, 1, ?, 0, ?);

-- name: add_entry
-- Of many entries at once (store/many.py).
INSERT INTO ledger_entries (customer_address, number, ended_at_us, salt, entry, commitment, link)
SELECT * FROM (VALUES (?, ?, ?, ?, ?, ?, ?)) WHERE column1 IS NOT NULL;

-- name: chain_has_grown
UPDATE ledger_chains
SET last_number = k.last_number, last_link = k.last_link,
    oldest_ended_at_us = coalesce(oldest_ended_at_us, k.first_ended_at_us)
FROM (SELECT column1 AS customer_address, column2 AS last_number, column3 AS last_link, column4 AS first_ended_at_us
      FROM (VALUES (?, ?, ?, ?))) AS k
WHERE ledger_chains.customer_address = k.customer_address;

-- name: get_entries
SELECT number, salt, entry, commitment, link FROM ledger_entries
WHERE customer_address = :customer_address AND number > :after ORDER BY number LIMIT :most;

-- name: to_seal
SELECT customer_address, last_number, last_link FROM ledger_chains
WHERE last_number > sealed_number AND (sealed_at_us <= :before OR last_number - sealed_number >= :entries)
LIMIT :most;

-- name: customers_to_purge
SELECT customer_address FROM ledger_chains WHERE oldest_ended_at_us < :before LIMIT :most;
