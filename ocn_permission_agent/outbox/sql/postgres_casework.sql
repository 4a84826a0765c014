-- The statements of outbox/stored_casework.py that each engine is told in its own way; the others: both_casework.sql

-- name: find
SELECT d.id, d.state, e.customer, s.provider, c.module, s.interface_role, e.method, l.owner, l.object_id,
       e.correlation_id, d.recorded_at_us, d.ended_at_us, d.next_attempt_at_us, d.attempts,
       d.payload_until_us IS DISTINCT FROM 0 AS payload_kept, d.reason
FROM deliveries d
JOIN scopes s ON s.id = d.scope_id
JOIN channels c ON c.id = s.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN lanes l ON l.id = d.lane_id
JOIN envelopes e ON e.id = d.envelope_id
WHERE d.id < :before_id
  AND (:ids::json IS NULL OR d.id IN (SELECT value::bigint FROM json_array_elements_text(:ids::json)))
  AND (:customer::text IS NULL OR upper(e.customer) = upper(:customer) OR e.customer_address = lower(:customer))
  AND (:provider::text IS NULL OR upper(s.provider) = upper(:provider) OR p.address = lower(:provider))
  AND (:module::text IS NULL OR c.module = :module)
  AND (:states::json IS NULL OR d.state IN (SELECT value FROM json_array_elements_text(:states::json)))
  AND (:since::bigint IS NULL OR d.recorded_at_us >= :since)
  AND (:until::bigint IS NULL OR d.recorded_at_us < :until)
ORDER BY d.id DESC LIMIT :most;

-- name: preview
SELECT d.state, count(*) AS n,
       count(*) FILTER (WHERE d.payload_until_us IS DISTINCT FROM 0
                          AND NOT (l.lease_holder IS NOT NULL AND l.head_id = d.id)) AS able
FROM deliveries d
JOIN scopes s ON s.id = d.scope_id
JOIN channels c ON c.id = s.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN lanes l ON l.id = d.lane_id
JOIN envelopes e ON e.id = d.envelope_id
WHERE (:ids::json IS NULL OR d.id IN (SELECT value::bigint FROM json_array_elements_text(:ids::json)))
  AND (:customer::text IS NULL OR upper(e.customer) = upper(:customer) OR e.customer_address = lower(:customer))
  AND (:provider::text IS NULL OR upper(s.provider) = upper(:provider) OR p.address = lower(:provider))
  AND (:module::text IS NULL OR c.module = :module)
  AND (:states::json IS NULL OR d.state IN (SELECT value FROM json_array_elements_text(:states::json)))
  AND (:since::bigint IS NULL OR d.recorded_at_us >= :since)
  AND (:until::bigint IS NULL OR d.recorded_at_us < :until)
GROUP BY d.state;

-- name: to_act_on
SELECT d.id, d.envelope_id, d.lane_id, d.state, d.reason, d.payload_until_us,
       l.lease_holder IS NOT NULL AS in_flight, l.head_id, e.method, e.module, e.interface_role, e.kind, e.version,
       e.segments, e.url_path
FROM deliveries d
JOIN scopes s ON s.id = d.scope_id
JOIN channels c ON c.id = s.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN lanes l ON l.id = d.lane_id
JOIN envelopes e ON e.id = d.envelope_id
WHERE d.id > :after_id
  AND (:ids::json IS NULL OR d.id IN (SELECT value::bigint FROM json_array_elements_text(:ids::json)))
  AND (:customer::text IS NULL OR upper(e.customer) = upper(:customer) OR e.customer_address = lower(:customer))
  AND (:provider::text IS NULL OR upper(s.provider) = upper(:provider) OR p.address = lower(:provider))
  AND (:module::text IS NULL OR c.module = :module)
  AND d.state IN (SELECT value FROM json_array_elements_text(:states::json))
  AND (:since::bigint IS NULL OR d.recorded_at_us >= :since)
  AND (:until::bigint IS NULL OR d.recorded_at_us < :until)
ORDER BY d.id LIMIT :most FOR UPDATE OF d, l;

-- name: show
SELECT d.id, d.state, e.customer, s.provider, c.module, s.interface_role, e.method, l.owner, l.object_id,
       e.correlation_id, d.recorded_at_us, d.ended_at_us, d.next_attempt_at_us, d.attempts,
       d.payload_until_us IS DISTINCT FROM 0 AS payload_kept, d.reason,
       e.customer_address, p.address AS provider_address, s.agreement, s.agreement_block, e.receiver, e.url_path,
       d.expires_base_us
           + CASE WHEN d.fleeting THEN 0
             ELSE l.stood_still_us + c.stood_still_us
                  + greatest(0, :now - coalesce(l.held_since_us, :now))
                  + greatest(0, :now - coalesce(c.still_since_us, :now))
                  + CASE WHEN l.due_at_us < c.returned_at_us THEN greatest(0, :now - c.returned_at_us) ELSE 0 END
             END AS expires_at_us,
       l.lease_holder IS NOT NULL AND l.head_id = d.id AS in_flight, l.held_since_us IS NOT NULL AS held,
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
SET state = 'pending', ended_at_us = NULL, payload_until_us = NULL, forget_at_us = NULL, in_doubt = false,
    reason = :reason, next_attempt_at_us = :now,
    expires_base_us = :now::bigint + :window_us::bigint
        - (SELECT l.stood_still_us + c.stood_still_us
                  + greatest(0, :now - coalesce(l.held_since_us, :now))
                  + greatest(0, :now - coalesce(c.still_since_us, :now))
           FROM lanes l JOIN channels c ON c.id = l.channel_id WHERE l.id = deliveries.lane_id)
WHERE id = :id;

-- name: put_in_front
UPDATE lanes
SET head_id = least(coalesce(head_id, :id), :id),
    due_at_us = CASE WHEN head_id IS NULL OR head_id > :id THEN greatest(:now, resting_until_us) ELSE due_at_us END,
    collapse = true
WHERE id = :lane_id;

-- name: by_correlation
SELECT d.id
FROM envelopes e JOIN deliveries d ON d.id >= e.id AND d.id < e.id + e.copies
WHERE e.correlation_id = :correlation_id
ORDER BY d.id LIMIT 200;
