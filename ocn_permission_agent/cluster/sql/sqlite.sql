-- Statements of cluster/lease.py and cluster/gathering.py that each engine is told in its own way; the others: both.sql

-- name: fence
SELECT number FROM leases WHERE name = :lease;

-- name: gathering
SELECT number, open FROM gathering;

-- name: open_gathering
UPDATE gathering SET number = number + 1, open = 1 WHERE open = 0;

-- name: call_gathering
UPDATE gathering SET number = number + 1, open = 1;

-- name: open_gathering_anew
-- The server is this process, and nobody else can have spooled anything.
UPDATE gathering SET number = number WHERE 0;

-- name: share_gathering
SELECT open FROM gathering;

-- name: own_gathering
SELECT open FROM gathering;

-- name: close_gathering
UPDATE gathering SET open = 0 WHERE open = 1 AND number = :number AND NOT EXISTS (SELECT 1 FROM gathered);
