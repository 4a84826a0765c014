-- The statements of the outbox that both engines understand; see sqlite.sql and postgres.sql.

-- --------------------------------------------------------------------------------------------------- collapsing

-- name: pending_of_lane
SELECT d.id, d.envelope_id, d.scope_id, d.attempts, e.method, e.module, e.interface_role, e.kind, e.version,
       e.segments, e.url_path, e.query, e.body, k.method AS collapsed_method, k.body AS collapsed_body
FROM deliveries d
JOIN envelopes e ON e.id = d.envelope_id
LEFT JOIN collapsed k ON k.delivery_id = d.id
WHERE d.lane_id = :lane_id AND d.id >= :head_id AND d.state = 'pending'
ORDER BY d.id LIMIT :most;

-- name: get_merged
SELECT scope_id, through_id, body FROM merged_sessions WHERE lane_id = :lane_id;

-- name: put_merged
INSERT INTO merged_sessions (lane_id, scope_id, through_id, body, changed_at_us)
VALUES (:lane_id, :scope_id, :through_id, :body, :now)
ON CONFLICT (lane_id) DO UPDATE
SET scope_id = excluded.scope_id, through_id = excluded.through_id, body = excluded.body,
    changed_at_us = excluded.changed_at_us;

-- name: drop_merged
DELETE FROM merged_sessions WHERE lane_id = :lane_id;

-- name: put_collapsed
INSERT INTO collapsed (delivery_id, method, body) VALUES (:delivery_id, :method, :body)
ON CONFLICT (delivery_id) DO UPDATE SET method = excluded.method, body = excluded.body;

-- name: drop_collapsed
DELETE FROM collapsed WHERE delivery_id = :delivery_id;

-- name: inherit_attempts
UPDATE deliveries SET attempts = :attempts WHERE id = :id;

-- ----------------------------------------------------------------------------------------------------- settling

-- name: end_attempt
UPDATE attempts
SET ended_at_us = :attempt_ended_at_us, verdict = :verdict, http_status = :http_status, ocpi_status = :ocpi_status,
    detail = :detail
WHERE delivery_id = :delivery_id AND number = :number;

-- name: drop_open_attempt
DELETE FROM attempts WHERE delivery_id = :delivery_id AND ended_at_us IS NULL;

-- name: to_end
-- All that is to be known of a delivery at its end.
SELECT d.id, d.envelope_id, d.lane_id, d.scope_id, d.state, d.attempts, d.payload_until_us, d.recorded_at_us,
       l.owner, l.object_id, s.provider, s.agreement, s.agreement_block, p.address AS provider_address,
       e.customer, e.customer_address, e.method, e.module, e.interface_role, e.kind, e.version, e.segments, e.url_path,
       e.correlation_id, e.body, k.method AS collapsed_method,
       (SELECT a.started_at_us FROM attempts a WHERE a.delivery_id = d.id ORDER BY a.number DESC LIMIT 1)
           AS started_at_us
FROM deliveries d
JOIN lanes l ON l.id = d.lane_id
JOIN scopes s ON s.id = d.scope_id
JOIN channels c ON c.id = s.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN envelopes e ON e.id = d.envelope_id
LEFT JOIN collapsed k ON k.delivery_id = d.id
WHERE d.id = :id;

-- name: end_delivery
UPDATE deliveries
SET state = :state, reason = :reason, ended_at_us = :ended_at_us, payload_until_us = :payload_until_us,
    forget_at_us = :forget_at_us
WHERE id = :id;

-- name: release_payload
-- One delivery less needs it; the last one takes it along.
UPDATE envelopes
SET needed = needed - 1,
    body = CASE WHEN needed > 1 THEN body END,
    query = CASE WHEN needed > 1 THEN query END,
    ocn_signature = CASE WHEN needed > 1 THEN ocn_signature END
WHERE id = :envelope_id;

-- name: next_in_lane
SELECT d.id, d.next_attempt_at_us
FROM lanes l JOIN deliveries d ON d.lane_id = l.id AND d.id >= l.head_id
WHERE l.id = :lane_id AND d.state = 'pending'
ORDER BY d.id LIMIT 1;

-- name: get_module_pause
SELECT paused_since_us, probe_at_us, pause_reason FROM channels WHERE id = :channel_id;

-- name: set_breaker
UPDATE providers
SET failures = :failures, paused_since_us = :paused_since_us, probe_at_us = :probe_at_us, pause_reason = :pause_reason
WHERE id = :provider_id;

-- name: set_module_pause
UPDATE channels
SET paused_since_us = :paused_since_us, probe_at_us = :probe_at_us, pause_reason = :pause_reason
WHERE id = :channel_id;

-- ------------------------------------------------------------------------------------------------------- upkeep

-- name: scope_ids
SELECT s.id
FROM scopes s JOIN channels c ON c.id = s.channel_id JOIN providers p ON p.id = c.provider_id
WHERE s.customer_address = :customer_address AND p.address = :provider_address AND s.agreement = :agreement
  AND c.module = :module AND s.interface_role = :interface_role;

-- name: drop_merged_of_scope
DELETE FROM merged_sessions WHERE scope_id = :scope_id;

-- name: let_go_of_payload
UPDATE deliveries SET payload_until_us = 0 WHERE id = :id;

-- name: forget_attempts
DELETE FROM attempts WHERE delivery_id = :id;

-- name: forget_duplicates
DELETE FROM duplicates WHERE delivery_id = :id;

-- name: forget_delivery
DELETE FROM deliveries WHERE id = :id;

-- name: forget_envelope
DELETE FROM envelopes
WHERE id = :envelope_id
  AND NOT EXISTS (SELECT 1 FROM deliveries d
                  WHERE d.id >= envelopes.id AND d.id < envelopes.id + envelopes.copies);

-- name: forget_lane
DELETE FROM lanes
WHERE id = :lane_id AND head_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.lane_id = :lane_id)
  AND NOT EXISTS (SELECT 1 FROM merged_sessions m WHERE m.lane_id = :lane_id);

-- name: forget_empty_scopes
DELETE FROM scopes
WHERE NOT EXISTS (SELECT 1 FROM tallies t WHERE t.scope_id = scopes.id)
  AND NOT EXISTS (SELECT 1 FROM merged_sessions m WHERE m.scope_id = scopes.id);

-- name: oldest_not_copied
SELECT id, noted_at_us FROM not_copied ORDER BY id LIMIT :most;

-- name: newest_not_copied
SELECT coalesce(max(id), 0) AS id FROM not_copied;

-- name: forget_not_copied
DELETE FROM not_copied WHERE id <= :through;

-- ----------------------------------------------------------------------------------------------------- counting

-- name: paused_modules
SELECT p.party, c.module, c.paused_since_us, c.probe_at_us, c.pause_reason
FROM channels c JOIN providers p ON p.id = c.provider_id
WHERE c.paused_since_us IS NOT NULL
ORDER BY p.party, c.module;
