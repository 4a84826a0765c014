-- Statements of cluster/lease.py and cluster/gathering.py that each engine is told in its own way; the others: both.sql

-- name: fence
-- Until this is committed nobody else takes the lease.
SELECT number FROM leases WHERE name = :lease FOR SHARE;

-- name: gathering
SELECT number, open OR server_us <> (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS open FROM gathering;

-- name: open_gathering
UPDATE gathering SET number = number + 1, open = TRUE, server_us = (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
WHERE NOT open OR server_us <> (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint;

-- name: call_gathering
UPDATE gathering SET number = number + 1, open = TRUE, server_us = (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint;

-- name: open_gathering_anew
-- A server that was started anew begins one: agents may have spooled meanwhile.
UPDATE gathering SET number = number + 1, open = TRUE, server_us = (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
WHERE server_us <> (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint;

-- name: share_gathering
-- Until this is committed nobody closes it.
SELECT open FROM gathering FOR SHARE;

-- name: own_gathering
-- One agent at a time; those that gather are waited for.
SELECT open FROM gathering FOR UPDATE;

-- name: close_gathering
UPDATE gathering SET open = FALSE WHERE open AND number = :number AND NOT EXISTS (SELECT 1 FROM gathered);
