-- The statements of outbox/sqlite.py. The schema with its comments: store/migrations/sqlite/0001_outbox.sql

-- name: keep_spool_mark
INSERT INTO meta (key, value) VALUES ('spool', :mark) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: find_provider
SELECT id, party, stood_still_us, paused_since_us FROM providers WHERE address = :address;

-- name: add_provider
INSERT INTO providers (address, party) VALUES (:address, :party);

-- name: rename_provider
UPDATE providers SET party = :party WHERE id = :id;

-- name: wanting_signatures
SELECT address FROM providers WHERE wants_signatures = 1;

-- name: remember_wanting_signatures
UPDATE providers SET wants_signatures = 1 WHERE address = :address;

-- name: find_lane
SELECT id, newest_id, stood_still_us, waiting_since_us FROM lanes WHERE key = :key;

-- name: add_lane
INSERT INTO lanes (key, provider_id, customer_address, module, owner, object_id)
VALUES (:key, :provider_id, :customer_address, :module, :owner, :object_id);

-- name: find_alike
-- What was withdrawn or expired never arrived, so it cannot be repeated.
SELECT id, recorded_at_us FROM deliveries
WHERE lane_id = :lane_id AND content_digest = :content_digest AND state NOT IN ('withdrawn', 'expired')
ORDER BY id DESC LIMIT 1;

-- name: find_any
SELECT id FROM deliveries WHERE lane_id = :lane_id AND state NOT IN ('withdrawn', 'expired') LIMIT 1;

-- name: add_envelope
INSERT INTO envelopes (recorded_at_us, customer, customer_address, method, module, interface_role, kind, version,
                       segments, url_path, sender, receiver, request_id, correlation_id, body, query, ocn_signature)
VALUES (:recorded_at_us, :customer, :customer_address, :method, :module, :interface_role, :kind, :version,
        :segments, :url_path, :sender, :receiver, :request_id, :correlation_id, :body, :query, :ocn_signature);

-- name: add_delivery
INSERT INTO deliveries (envelope_id, lane_id, provider, agreement, scope, state, recorded_at_us, next_attempt_at_us,
                        expires_base_us, ended_at_us, reason, content_digest, payload_until_us)
VALUES (:envelope_id, :lane_id, :provider, :agreement, :scope, :state, :recorded_at_us, :recorded_at_us,
        :expires_base_us, :ended_at_us, :reason, :content_digest, :payload_until_us);

-- name: lane_has_grown
-- The new delivery is the head if nothing else was owed in the lane.
UPDATE lanes
SET newest_id = :delivery_id,
    due_at_us = CASE WHEN head_id IS NULL AND :pending THEN max(:due_at_us, resting_until_us) ELSE due_at_us END,
    head_id = CASE WHEN head_id IS NULL AND :pending THEN :delivery_id ELSE head_id END
WHERE id = :lane_id;

-- name: add_duplicate
INSERT INTO duplicates (delivery_id, noted_at_us, correlation_id, receiver)
VALUES (:delivery_id, :noted_at_us, :correlation_id, :receiver);

-- name: providers_with_due
-- A paused provider is asked with one delivery at a time.
SELECT p.id, p.address, p.paused_since_us IS NOT NULL AS paused
FROM providers p
WHERE CASE WHEN p.paused_since_us IS NULL
      THEN EXISTS (SELECT 1 FROM lanes l WHERE l.provider_id = p.id AND l.in_flight = 0 AND l.due_at_us <= :now)
      ELSE p.probe_at_us <= :now
           AND NOT EXISTS (SELECT 1 FROM lanes l WHERE l.provider_id = p.id AND l.in_flight = 1)
      END;

-- name: lanes_due
SELECT id, head_id FROM lanes
WHERE provider_id = :provider_id AND in_flight = 0 AND due_at_us <= :due_by AND resting_until_us <= :now
ORDER BY due_at_us, head_id LIMIT :room;

-- name: mark_in_flight
UPDATE lanes SET in_flight = 1 WHERE id = :lane_id;

-- name: get_delivery
-- Waits and pauses that go on still are counted up to :now.
SELECT d.id, d.provider, p.address AS provider_address, d.agreement, d.state, d.attempts, d.next_attempt_at_us,
       d.expires_base_us + l.stood_still_us + p.stood_still_us
           + max(0, :now - coalesce(l.waiting_since_us, :now))
           + max(0, :now - coalesce(p.paused_since_us, :now)) AS expires_at_us, d.reason,
       l.module AS lane_module, l.owner, l.object_id,
       e.recorded_at_us, e.customer, e.customer_address, e.method, e.module, e.interface_role, e.kind, e.version,
       e.segments, e.url_path, e.sender, e.receiver, e.request_id, e.correlation_id, e.body, e.query, e.ocn_signature
FROM deliveries d
JOIN lanes l ON l.id = d.lane_id
JOIN providers p ON p.id = l.provider_id
JOIN envelopes e ON e.id = d.envelope_id
WHERE d.id = :id;

-- name: count_attempt
UPDATE deliveries SET attempts = attempts + 1 WHERE id = :delivery_id;

-- name: begin_attempt
INSERT INTO attempts (delivery_id, number, started_at_us) VALUES (:delivery_id, :number, :started_at_us);

-- name: end_attempt
UPDATE attempts
SET ended_at_us = :ended_at_us, verdict = :verdict, http_status = :http_status, ocpi_status = :ocpi_status,
    detail = :detail
WHERE delivery_id = :delivery_id AND number = :number;

-- name: place_of
SELECT d.lane_id, d.envelope_id, l.provider_id FROM deliveries d JOIN lanes l ON l.id = d.lane_id WHERE d.id = :id;

-- name: keep_pending
UPDATE deliveries SET reason = :reason, next_attempt_at_us = :next_attempt_at_us WHERE id = :id;

-- name: end_delivery
UPDATE deliveries
SET state = :state, reason = :reason, ended_at_us = :ended_at_us, payload_until_us = :payload_until_us
WHERE id = :id;

-- name: erase_payload
-- Only when none of its deliveries needs it any more.
UPDATE envelopes SET body = NULL, query = NULL, ocn_signature = NULL
WHERE id = :envelope_id AND body IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM deliveries d
                  WHERE d.envelope_id = :envelope_id AND (d.payload_until_us IS NULL OR d.payload_until_us > 0));

-- name: next_in_lane
SELECT id, next_attempt_at_us FROM deliveries WHERE lane_id = :lane_id AND state = 'pending' ORDER BY id LIMIT 1;

-- name: free_lane
UPDATE lanes
SET in_flight = 0, head_id = :head_id, wait = :wait,
    resting_until_us = max(resting_until_us, :resting_until_us),
    due_at_us = CASE WHEN :head_id IS NULL THEN NULL
                ELSE max(:due_at_us, resting_until_us, :resting_until_us) END,
    stood_still_us = stood_still_us + max(0, :now - coalesce(waiting_since_us, :now)),
    waiting_since_us = CASE WHEN :wait IS NULL THEN NULL ELSE :now END
WHERE id = :lane_id;

-- name: get_breaker
SELECT failures, paused_since_us, probe_at_us, pause_reason FROM providers WHERE id = :provider_id;

-- name: set_breaker
UPDATE providers
SET failures = :failures, paused_since_us = :paused_since_us, probe_at_us = :probe_at_us, pause_reason = :pause_reason,
    stood_still_us = stood_still_us + :stood_still_us
WHERE id = :provider_id;

-- name: hurry
-- The provider is back: what was put off is due by its age, so that the oldest goes first.
UPDATE lanes
SET due_at_us = max(resting_until_us, (SELECT d.recorded_at_us FROM deliveries d WHERE d.id = lanes.head_id))
WHERE provider_id = :provider_id AND in_flight = 0 AND due_at_us > :now AND id <> :lane_id;

-- name: in_flight
SELECT l.id AS lane_id, l.head_id, a.started_at_us
FROM lanes l
LEFT JOIN deliveries d ON d.id = l.head_id
LEFT JOIN attempts a ON a.delivery_id = d.id AND a.number = d.attempts AND a.ended_at_us IS NULL
WHERE l.in_flight = 1
ORDER BY l.head_id;

-- name: unmark_in_flight
UPDATE lanes SET in_flight = 0 WHERE id = :lane_id;

-- name: next_due
SELECT min(CASE WHEN p.paused_since_us IS NULL
                THEN (SELECT min(l.due_at_us) FROM lanes l
                      WHERE l.provider_id = p.id AND l.in_flight = 0 AND l.due_at_us > :now)
                ELSE p.probe_at_us END) AS at_us
FROM providers p
WHERE EXISTS (SELECT 1 FROM lanes l WHERE l.provider_id = p.id AND l.in_flight = 0 AND l.due_at_us IS NOT NULL);

-- name: scopes_owed
-- From one scope to the next along the index, never over what lies between.
WITH RECURSIVE step (id) AS (
    SELECT (SELECT id FROM deliveries WHERE state = 'pending' ORDER BY agreement, scope LIMIT 1)
    UNION ALL
    SELECT (SELECT d.id FROM deliveries d
            WHERE d.state = 'pending'
              AND (d.agreement, d.scope) > (SELECT o.agreement, o.scope FROM deliveries o WHERE o.id = step.id)
            ORDER BY d.agreement, d.scope LIMIT 1)
    FROM step WHERE step.id IS NOT NULL
)
SELECT d.agreement, d.scope, l.customer_address, p.address AS provider_address
FROM step
JOIN deliveries d ON d.id = step.id
JOIN lanes l ON l.id = d.lane_id
JOIN providers p ON p.id = l.provider_id;

-- name: pending_of_scope
SELECT d.id, d.lane_id, d.envelope_id, l.in_flight
FROM deliveries d JOIN lanes l ON l.id = d.lane_id
WHERE d.state = 'pending' AND d.agreement = :agreement AND d.scope = :scope
  AND NOT (l.in_flight = 1 AND l.head_id = d.id)
LIMIT :most;

-- name: pending_of_all
SELECT id, lane_id, envelope_id FROM deliveries WHERE state = 'pending' LIMIT :most;

-- name: payloads_to_let_go
SELECT id, envelope_id FROM deliveries WHERE payload_until_us > 0 AND payload_until_us <= :now LIMIT :most;

-- name: let_go_of_payload
UPDATE deliveries SET payload_until_us = 0 WHERE id = :id;

-- name: count_states
SELECT state, count(*) AS n FROM deliveries GROUP BY state;

-- name: count_waiting
-- Of what is pending: held for want of certainty, and paused with the provider or the set-up.
SELECT coalesce(sum(l.wait = 'held'), 0) AS held,
       coalesce(sum(l.wait IS NOT 'held' AND (l.wait = 'paused' OR p.paused_since_us IS NOT NULL)), 0) AS paused
FROM deliveries d
JOIN lanes l ON l.id = d.lane_id
JOIN providers p ON p.id = l.provider_id
WHERE d.state = 'pending';

-- name: backlog
SELECT p.party, p.failures, p.paused_since_us, p.probe_at_us, p.pause_reason,
       count(d.id) AS pending, min(d.recorded_at_us) AS oldest_us
FROM providers p
LEFT JOIN lanes l ON l.provider_id = p.id AND l.head_id IS NOT NULL
LEFT JOIN deliveries d ON d.lane_id = l.id AND d.state = 'pending'
GROUP BY p.id
ORDER BY p.party;
