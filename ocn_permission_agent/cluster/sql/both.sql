-- Statements of cluster/lease.py, cluster/roster.py and cluster/gathering.py that both engines understand.

-- name: lease
SELECT number, holder, beat FROM leases WHERE name = :lease;

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
