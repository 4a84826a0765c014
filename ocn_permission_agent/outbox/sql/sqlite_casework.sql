-- The statements of outbox/stored_casework.py that each engine is told in its own way; the others: both_casework.sql

-- name: find
SELECT d.id, d.state, e.customer, s.provider, c.module, s.interface_role, e.method, l.owner, l.object_id,
       e.correlation_id, d.recorded_at_us, d.ended_at_us, d.next_attempt_at_us, d.attempts,
       d.payload_until_us IS NOT 0 AS payload_kept, d.reason
FROM deliveries d
JOIN scopes s ON s.id = d.scope_id
JOIN channels c ON c.id = s.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN lanes l ON l.id = d.lane_id
JOIN envelopes e ON e.id = d.envelope_id
WHERE d.id < :before_id
  AND (:ids IS NULL OR d.id IN (SELECT value FROM json_each(:ids)))
  AND (:customer IS NULL OR upper(e.customer) = upper(:customer) OR e.customer_address = lower(:customer))
  AND (:provider IS NULL OR upper(s.provider) = upper(:provider) OR p.address = lower(:provider))
  AND (:module IS NULL OR c.module = :module)
  AND (:states IS NULL OR d.state IN (SELECT value FROM json_each(:states)))
  AND (:since IS NULL OR d.recorded_at_us >= :since)
  AND (:until IS NULL OR d.recorded_at_us < :until)
ORDER BY d.id DESC LIMIT :most;

-- name: preview
SELECT d.state, count(*) AS n, sum(d.payload_until_us IS NOT 0 AND NOT (l.in_flight = 1 AND l.head_id = d.id)) AS able
FROM deliveries d
JOIN scopes s ON s.id = d.scope_id
JOIN channels c ON c.id = s.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN lanes l ON l.id = d.lane_id
JOIN envelopes e ON e.id = d.envelope_id
WHERE (:ids IS NULL OR d.id IN (SELECT value FROM json_each(:ids)))
  AND (:customer IS NULL OR upper(e.customer) = upper(:customer) OR e.customer_address = lower(:customer))
  AND (:provider IS NULL OR upper(s.provider) = upper(:provider) OR p.address = lower(:provider))
  AND (:module IS NULL OR c.module = :module)
  AND (:states IS NULL OR d.state IN (SELECT value FROM json_each(:states)))
  AND (:since IS NULL OR d.recorded_at_us >= :since)
  AND (:until IS NULL OR d.recorded_at_us < :until)
GROUP BY d.state;

-- name: to_act_on
SELECT d.id, d.envelope_id, d.lane_id, d.state, d.reason, d.payload_until_us, l.in_flight, l.head_id, e.method, e.module,
       e.interface_role, e.kind, e.version, e.segments, e.url_path
FROM deliveries d
JOIN scopes s ON s.id = d.scope_id
JOIN channels c ON c.id = s.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN lanes l ON l.id = d.lane_id
JOIN envelopes e ON e.id = d.envelope_id
WHERE d.id > :after_id
  AND (:ids IS NULL OR d.id IN (SELECT value FROM json_each(:ids)))
  AND (:customer IS NULL OR upper(e.customer) = upper(:customer) OR e.customer_address = lower(:customer))
  AND (:provider IS NULL OR upper(s.provider) = upper(:provider) OR p.address = lower(:provider))
  AND (:module IS NULL OR c.module = :module)
  AND d.state IN (SELECT value FROM json_each(:states))
  AND (:since IS NULL OR d.recorded_at_us >= :since)
  AND (:until IS NULL OR d.recorded_at_us < :until)
ORDER BY d.id LIMIT :most;

-- name: show
SELECT d.id, d.state, e.customer, s.provider, c.module, s.interface_role, e.method, l.owner, l.object_id,
       e.correlation_id, d.recorded_at_us, d.ended_at_us, d.next_attempt_at_us, d.attempts,
       d.payload_until_us IS NOT 0 AS payload_kept, d.reason,
       e.customer_address, p.address AS provider_address, s.agreement, s.agreement_block, e.receiver, e.url_path,
       d.expires_base_us
           + CASE WHEN d.fleeting THEN 0
             ELSE l.stood_still_us + c.stood_still_us
                  + max(0, :now - coalesce(l.held_since_us, :now))
                  + max(0, :now - coalesce(c.still_since_us, :now))
                  + CASE WHEN l.due_at_us < c.returned_at_us THEN max(0, :now - c.returned_at_us) ELSE 0 END
             END AS expires_at_us,
       l.in_flight = 1 AND l.head_id = d.id AS in_flight, l.held_since_us IS NOT NULL AS held,
       CASE WHEN p.paused_since_us IS NOT NULL THEN coalesce(p.pause_reason, '')
            WHEN c.paused_since_us IS NOT NULL THEN coalesce(c.pause_reason, '') END AS paused,
       k.method AS sent_as
FROM deliveries d
JOIN scopes s ON s.id = d.scope_id
JOIN channels c ON c.id = s.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN lanes l ON l.id = d.lane_id
JOIN envelopes e ON e.id = d.envelope_id
LEFT JOIN collapsed k ON k.delivery_id = d.id
WHERE d.id = :id;

-- name: revive
-- Its window begins anew, less what lane and channel have stood still up to now.
UPDATE deliveries
SET state = 'pending', ended_at_us = NULL, payload_until_us = NULL, forget_at_us = NULL, in_doubt = 0,
    reason = :reason, next_attempt_at_us = :now,
    expires_base_us = :now + :window_us
        - (SELECT l.stood_still_us + c.stood_still_us
                  + max(0, :now - coalesce(l.held_since_us, :now))
                  + max(0, :now - coalesce(c.still_since_us, :now))
           FROM lanes l JOIN channels c ON c.id = l.channel_id WHERE l.id = deliveries.lane_id)
WHERE id = :id;

-- name: put_in_front
UPDATE lanes
SET head_id = min(coalesce(head_id, :id), :id),
    due_at_us = CASE WHEN head_id IS NULL OR head_id > :id THEN max(:now, resting_until_us) ELSE due_at_us END,
    collapse = 1
WHERE id = :lane_id;

-- name: by_correlation
-- Of each thousand of ids that has any (migrations/sqlite/0007_fewer_pages.sql).
WITH RECURSIVE thousands (n) AS (
    SELECT min(id) >> 10 FROM envelopes
    UNION ALL
    SELECT (SELECT min(id) >> 10 FROM envelopes WHERE id >= (n + 1) << 10) FROM thousands WHERE n IS NOT NULL
)
SELECT d.id
FROM thousands t
CROSS JOIN envelopes e ON e.id >> 10 = t.n AND e.correlation_id = :correlation_id
CROSS JOIN deliveries d ON d.id >= e.id AND d.id < e.id + e.copies
ORDER BY d.id LIMIT 200;
