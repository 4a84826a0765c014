-- The statements of ledger/store.py that both engines understand.

-- name: customers
SELECT customer_address FROM ledger_chains ORDER BY customer_address;

-- name: get_checkpoints
SELECT number, statement, signature FROM ledger_checkpoints WHERE customer_address = :customer_address ORDER BY number;

-- name: add_checkpoint
INSERT INTO ledger_checkpoints (customer_address, number, statement, signature)
VALUES (:customer_address, :number, :statement, :signature);

-- name: chain_is_sealed
UPDATE ledger_chains SET sealed_number = :number, sealed_at_us = :now WHERE customer_address = :customer_address;

-- name: oldest_entries
SELECT number, ended_at_us, link FROM ledger_entries
WHERE customer_address = :customer_address ORDER BY number LIMIT :most;

-- name: forget_entries
DELETE FROM ledger_entries WHERE customer_address = :customer_address AND number <= :through;

-- name: forget_checkpoints
DELETE FROM ledger_checkpoints WHERE customer_address = :customer_address AND number <= :through;

-- name: chain_begins_later
UPDATE ledger_chains
SET first_number = :first_number, link_before = :link_before,
    oldest_ended_at_us = (SELECT e.ended_at_us FROM ledger_entries e
                          WHERE e.customer_address = :customer_address AND e.number = :first_number)
WHERE customer_address = :customer_address;
