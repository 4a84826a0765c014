-- The statements of ledger/store.py that each engine is told in its own way; the others: both.sql
-- The schema with its comments: store/migrations/postgres/0005_ledger.sql

-- name: get_chain
SELECT customer_address, first_number, link_before, last_number, last_link FROM ledger_chains
WHERE customer_address = $1;

-- name: lock_chains
-- Entries of one customer are chained one after the other, whoever adds them.
SELECT customer_address, last_number, last_link FROM ledger_chains
WHERE customer_address = ANY (ARRAY(SELECT value FROM jsonb_array_elements_text(:customers::jsonb)))
ORDER BY customer_address FOR UPDATE;

-- name: add_chain
INSERT INTO ledger_chains (customer_address, first_number, link_before, last_number, last_link)
SELECT k.customer_address, 1, k.link_before, 0, k.last_link
FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS k (customer_address, link_before, last_link);

-- name: add_entry
INSERT INTO ledger_entries (customer_address, number, ended_at_us, salt, entry, commitment, link)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[]);

-- name: chain_has_grown
UPDATE ledger_chains
SET last_number = k.last_number, last_link = k.last_link,
    oldest_ended_at_us = coalesce(ledger_chains.oldest_ended_at_us, k.first_ended_at_us)
FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bigint[])
     AS k (customer_address, last_number, last_link, first_ended_at_us)
WHERE ledger_chains.customer_address = k.customer_address;

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
