-- The statements of ledger/store.py that each engine is told in its own way; the others: both.sql
-- The schema with its comments: store/migrations/postgres/0005_ledger.sql

-- name: get_chain
SELECT customer_address, first_number, link_before, last_number, last_link FROM ledger_chains
WHERE customer_address = $1;

-- name: lock_chain
-- Entries of one customer are chained one after the other, whoever adds them.
SELECT last_number, last_link, oldest_ended_at_us FROM ledger_chains WHERE customer_address = $1 FOR UPDATE;

-- name: add_chain
INSERT INTO ledger_chains (customer_address, first_number, link_before, last_number, last_link)
VALUES ($1, 1, $2, 0, $3);

-- name: add_entry
INSERT INTO ledger_entries (customer_address, number, ended_at_us, salt, entry, commitment, link)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[]);

-- name: chain_has_grown
UPDATE ledger_chains SET last_number = $1, last_link = $2 WHERE customer_address = $3;

-- name: chain_has_an_oldest
UPDATE ledger_chains SET oldest_ended_at_us = $1 WHERE customer_address = $2;

-- name: get_entries
SELECT number, salt, entry, commitment, link FROM ledger_entries
WHERE customer_address = :customer_address AND number > :after ORDER BY number LIMIT nullif(:most::bigint, -1);

-- name: to_seal
SELECT customer_address, last_number, last_link FROM ledger_chains
WHERE last_number > sealed_number AND (sealed_at_us <= :before OR last_number - sealed_number >= :entries)
ORDER BY customer_address LIMIT :most FOR UPDATE;

-- name: customers_to_purge
SELECT customer_address FROM ledger_chains
WHERE oldest_ended_at_us < :before ORDER BY customer_address LIMIT :most;
