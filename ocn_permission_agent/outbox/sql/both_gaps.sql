-- The statements of outbox/gap_store.py that both engines understand.

-- name: known
-- One that was written by a process that died before it could strike it from its journal.
SELECT id FROM gaps
WHERE correlation_id = :correlation_id AND correlation_id <> '' AND first_at_us = :first_at_us AND reason = :reason
  AND object_id = :object_id
LIMIT 1;

-- name: newest
SELECT reason, first_at_us, last_at_us, count, module, method, customer, object_id, correlation_id
FROM gaps ORDER BY last_at_us DESC, id DESC LIMIT :most;

-- name: forget
DELETE FROM gaps WHERE hour_us < :before_us;

-- name: read_meta
SELECT value FROM meta WHERE key = :key;

-- name: write_meta
INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: forget_meta
DELETE FROM meta WHERE key = :key;

-- name: last_recorded
SELECT recorded_at_us FROM envelopes ORDER BY id DESC LIMIT 1;

-- name: eras
SELECT token FROM store_eras ORDER BY number;
