-- Statements of cluster/lease.py, cluster/roster.py and cluster/gathering.py.

-- name: lease
SELECT number, holder, beat FROM leases WHERE name = :lease;

-- name: fence
-- Until this is committed nobody else takes the lease.
SELECT number FROM leases WHERE name = :lease FOR SHARE;

-- name: take_lease
UPDATE leases SET number = number + 1, holder = :holder, beat = 0
WHERE name = :lease AND number = :number AND beat = :beat;

-- name: renew_lease
UPDATE leases SET beat = beat + 1 WHERE name = :lease AND number = :number;

-- name: release_lease
UPDATE leases SET holder = NULL WHERE name = :lease AND number = :number;

-- name: agents
SELECT id, host, version, started_at_us, seen_at_us, beat, spool_bytes, met FROM agents ORDER BY id;

-- name: be_seen
INSERT INTO agents (id, host, version, started_at_us, seen_at_us, beat, spool_bytes, met)
VALUES (:id, :host, :version, :started_at_us, :seen_at_us, 0, :spool_bytes, :met)
ON CONFLICT (id) DO UPDATE SET
    host          = excluded.host,
    version       = excluded.version,
    started_at_us = excluded.started_at_us,
    seen_at_us    = excluded.seen_at_us,
    beat          = agents.beat + 1,
    spool_bytes   = excluded.spool_bytes,
    met           = excluded.met;

-- name: leave
DELETE FROM agents WHERE id = :id;

-- name: forget_agents
DELETE FROM agents WHERE seen_at_us < :before_us;

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

-- name: gather
INSERT INTO gathered (said_at_us, payload) VALUES (:said_at_us, :payload);

-- name: first_gathered
SELECT id, said_at_us, payload FROM gathered ORDER BY said_at_us, id LIMIT :most;

-- name: drop_gathered
DELETE FROM gathered WHERE id = :id;

-- name: count_gathered
SELECT count(*) AS n FROM gathered;

-- name: keep_mark
INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value;
