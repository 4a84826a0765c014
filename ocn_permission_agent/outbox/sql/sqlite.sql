-- The statements of the outbox on SQLite. The schema with its comments: store/migrations/sqlite/0001_outbox.sql
-- One agent has the file, and one thread writes: nothing is locked here, and no lease ends. The statements about that
-- are there because they mean something on PostgreSQL, by the same names.

-- ----------------------------------------------------------------------------------------------------- claiming

-- name: lock_providers_due
SELECT 1 WHERE FALSE;

-- name: channels_with_due
-- A paused provider, and a paused module, is asked with one delivery at a time.
SELECT c.id, c.provider_id, p.address, p.party, c.module, c.returned_at_us,
       p.paused_since_us IS NOT NULL AS provider_paused, c.paused_since_us IS NOT NULL AS module_paused
FROM channels c JOIN providers p ON p.id = c.provider_id
WHERE CASE
      WHEN p.paused_since_us IS NOT NULL
      THEN p.probe_at_us <= :now
           AND NOT EXISTS (SELECT 1 FROM channels o JOIN lanes l ON l.channel_id = o.id AND l.in_flight = 1
                           WHERE o.provider_id = p.id)
      WHEN c.paused_since_us IS NOT NULL
      THEN c.probe_at_us <= :now
           AND NOT EXISTS (SELECT 1 FROM lanes l WHERE l.channel_id = c.id AND l.in_flight = 1)
      ELSE EXISTS (SELECT 1 FROM lanes l WHERE l.channel_id = c.id AND l.in_flight = 0 AND l.due_at_us <= :now)
      END
ORDER BY c.provider_id, module_paused, c.id;

-- name: lanes_due
SELECT id, head_id, due_at_us, collapse FROM lanes
WHERE channel_id = :channel_id AND in_flight = 0 AND due_at_us <= :due_by AND resting_until_us <= :now
ORDER BY due_at_us, head_id LIMIT :room;

-- name: mark_in_flight
UPDATE lanes SET in_flight = 1, head_id = :head_id WHERE id = :lane_id;

-- name: note_starts
SELECT 1 WHERE FALSE;

-- name: get_deliveries
-- Waits and pauses that go on still are counted up to :now, and so is the time that a lane has waited for its turn since
-- its provider returned.
SELECT d.id, d.envelope_id, d.lane_id, d.scope_id, l.channel_id, c.provider_id, s.agreement_block,
       (SELECT a.started_at_us FROM attempts a WHERE a.delivery_id = d.id ORDER BY a.number DESC LIMIT 1)
           AS started_at_us,
       s.provider, p.address AS provider_address, s.agreement, d.state, d.attempts, d.next_attempt_at_us,
       d.expires_base_us
           + CASE WHEN d.fleeting THEN 0
             ELSE l.stood_still_us + c.stood_still_us
                  + max(0, :now - coalesce(l.held_since_us, :now))
                  + max(0, :now - coalesce(c.still_since_us, :now))
                  + CASE WHEN l.due_at_us < c.returned_at_us THEN max(0, :now - c.returned_at_us) ELSE 0 END
             END AS expires_at_us,
       d.reason, l.owner, l.object_id,
       m.lane_id IS NOT NULL AS whole_known,
       d.in_doubt, 0 AS lease,
       e.recorded_at_us, e.customer, e.customer_address, e.method, e.module, e.interface_role, e.kind, e.version,
       e.segments, e.url_path, e.sender, e.receiver, e.request_id, e.correlation_id, e.body, e.query, e.ocn_signature,
       k.method AS collapsed_method, k.body AS collapsed_body
FROM deliveries d
JOIN lanes l ON l.id = d.lane_id
JOIN scopes s ON s.id = d.scope_id
JOIN channels c ON c.id = l.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN envelopes e ON e.id = d.envelope_id
LEFT JOIN merged_sessions m ON m.lane_id = d.lane_id AND m.scope_id = d.scope_id
LEFT JOIN collapsed k ON k.delivery_id = d.id
WHERE d.id IN (SELECT value FROM json_each(:ids))
ORDER BY d.id;

-- name: next_due
SELECT min(CASE WHEN p.paused_since_us IS NOT NULL THEN p.probe_at_us
                WHEN c.paused_since_us IS NOT NULL THEN c.probe_at_us
                ELSE (SELECT min(l.due_at_us) FROM lanes l
                      WHERE l.channel_id = c.id AND l.in_flight = 0 AND l.due_at_us > :now) END) AS at_us
FROM channels c JOIN providers p ON p.id = c.provider_id
WHERE EXISTS (SELECT 1 FROM lanes l WHERE l.channel_id = c.id AND l.in_flight = 0 AND l.due_at_us IS NOT NULL);

-- name: left_behind
SELECT l.id AS lane_id, l.head_id, a.started_at_us
FROM lanes l
LEFT JOIN deliveries d ON d.id = l.head_id
LEFT JOIN attempts a ON a.delivery_id = d.id AND a.number = d.attempts AND a.ended_at_us IS NULL
WHERE l.in_flight = 1
ORDER BY l.head_id;

-- name: take_over
SELECT 1 WHERE FALSE;

-- name: unmark_in_flight
UPDATE lanes SET in_flight = 0 WHERE id = :lane_id;

-- name: unmark_all
UPDATE lanes SET in_flight = 0 WHERE in_flight = 1;

-- name: renew_leases
SELECT 1 WHERE FALSE;

-- ----------------------------------------------------------------------------------------------------- settling

-- name: standing_of
-- How module and provider of a lane stand, and whether whoever has :lease holds it still for delivery :id. `alone`:
-- nothing else of the lane was ever recorded after that, or came before it again. The session of the lane, if there is
-- one, comes along.
SELECT c.paused_since_us, c.probe_at_us, c.pause_reason,
       p.failures AS provider_failures, p.paused_since_us AS provider_paused_since_us,
       p.probe_at_us AS provider_probe_at_us, p.pause_reason AS provider_pause_reason,
       m.scope_id AS merged_scope_id, m.through_id AS merged_through_id, m.body AS merged_body,
       l.head_id = :id AND l.newest_id = :id AS alone,
       1 AS held
FROM lanes l
JOIN channels c ON c.id = l.channel_id
JOIN providers p ON p.id = c.provider_id
LEFT JOIN merged_sessions m ON m.lane_id = l.id
WHERE l.id = :lane_id;

-- name: keep_pending
UPDATE deliveries
SET reason = :reason, next_attempt_at_us = :next_attempt_at_us, in_doubt = max(in_doubt, :in_doubt)
WHERE id = :id;

-- name: free_lane
-- A lane that has waited for its turn since its provider returned, and has had it: its windows stood still meanwhile.
UPDATE lanes
SET in_flight = 0, head_id = :head_id,
    resting_until_us = max(resting_until_us, :resting_until_us),
    due_at_us = CASE WHEN :head_id IS NULL THEN NULL
                ELSE max(:due_at_us, resting_until_us, :resting_until_us) END,
    collapse = coalesce(:collapse, collapse),
    stood_still_us = stood_still_us + max(0, :now - coalesce(held_since_us, :now))
        + coalesce((SELECT max(0, :now - c.returned_at_us) FROM channels c
                    WHERE c.id = lanes.channel_id AND lanes.due_at_us < c.returned_at_us
                      AND :due_at_us >= c.returned_at_us), 0),
    held_since_us = CASE WHEN :held AND :head_id IS NOT NULL THEN :now END
WHERE id = :lane_id;

-- name: lock_breaker
SELECT failures, paused_since_us, probe_at_us, pause_reason FROM providers WHERE id = :provider_id;

-- name: begin_still
UPDATE channels SET still_since_us = coalesce(still_since_us, :now)
WHERE (:channel_id IS NULL OR id = :channel_id) AND provider_id = :provider_id;

-- name: end_still
-- Of channels that nothing pauses any more; what waited there is due by its age, so that the oldest goes first.
UPDATE channels
SET stood_still_us = stood_still_us + max(0, :now - still_since_us), still_since_us = NULL, returned_at_us = :now
WHERE provider_id = :provider_id AND still_since_us IS NOT NULL AND paused_since_us IS NULL
  AND NOT EXISTS (SELECT 1 FROM providers p WHERE p.id = :provider_id AND p.paused_since_us IS NOT NULL);

-- name: hurry
-- Oldest first; what was recorded by a clock that was put back since is due too.
UPDATE lanes
SET due_at_us = max(resting_until_us,
                    (SELECT min(d.recorded_at_us, :now - 1) FROM deliveries d WHERE d.id = lanes.head_id))
WHERE channel_id IN (SELECT id FROM channels WHERE provider_id = :provider_id AND still_since_us IS NULL)
  AND in_flight = 0 AND due_at_us > :now AND id <> :lane_id;

-- name: hurry_held
UPDATE lanes SET due_at_us = max(resting_until_us, :now)
WHERE held_since_us IS NOT NULL AND in_flight = 0 AND due_at_us > :now;

-- ------------------------------------------------------------------------------------------------------- upkeep

-- name: bring_lanes_forward
-- The clock was put back by :by, to :now: what was due by the old one waits for no longer than before.
UPDATE lanes
SET due_at_us = CASE WHEN due_at_us > :now THEN due_at_us - :by ELSE due_at_us END,
    resting_until_us = CASE WHEN resting_until_us > :now THEN resting_until_us - :by ELSE resting_until_us END,
    held_since_us = min(held_since_us, :now)
WHERE due_at_us > :now OR resting_until_us > :now OR held_since_us > :now;

-- name: bring_deliveries_forward
UPDATE deliveries SET next_attempt_at_us = next_attempt_at_us - :by
WHERE state = 'pending' AND next_attempt_at_us > :now;

-- name: bring_providers_forward
UPDATE providers
SET probe_at_us = CASE WHEN probe_at_us > :now THEN probe_at_us - :by ELSE probe_at_us END,
    paused_since_us = min(paused_since_us, :now)
WHERE paused_since_us IS NOT NULL;

-- name: bring_channels_forward
UPDATE channels
SET probe_at_us = CASE WHEN probe_at_us > :now THEN probe_at_us - :by ELSE probe_at_us END,
    paused_since_us = min(paused_since_us, :now),
    still_since_us = min(still_since_us, :now),
    returned_at_us = min(returned_at_us, :now);

-- name: scopes_needed
-- Scopes with anything pending, or with a payload that is kept.
SELECT DISTINCT s.customer_address, p.address AS provider_address, s.agreement, c.module, s.interface_role
FROM scopes s JOIN channels c ON c.id = s.channel_id JOIN providers p ON p.id = c.provider_id
WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.scope_id = s.id AND d.payload_until_us IS NOT 0)
   OR EXISTS (SELECT 1 FROM merged_sessions m WHERE m.scope_id = s.id);

-- name: pending_of_scope
SELECT d.id, d.lane_id, l.in_flight
FROM deliveries d JOIN lanes l ON l.id = d.lane_id
WHERE d.scope_id = :scope_id AND d.state = 'pending' AND d.payload_until_us IS NOT 0
  AND NOT (l.in_flight = 1 AND l.head_id = d.id)
LIMIT :most;

-- name: pending_of_all
SELECT id, lane_id FROM deliveries WHERE state = 'pending' LIMIT :most;

-- name: kept_of_scope
SELECT id, envelope_id FROM deliveries
WHERE scope_id = :scope_id AND payload_until_us IS NOT 0 AND state <> 'pending' LIMIT :most;

-- name: payloads_to_let_go
SELECT id, envelope_id FROM deliveries WHERE payload_until_us > 0 AND payload_until_us <= :now LIMIT :most;

-- name: fleeting_over
SELECT d.id, d.lane_id, l.in_flight, s.provider, c.module
FROM deliveries d
JOIN lanes l ON l.id = d.lane_id JOIN scopes s ON s.id = d.scope_id JOIN channels c ON c.id = s.channel_id
WHERE d.fleeting = 1 AND d.state = 'pending' AND d.expires_base_us < :now
  AND NOT (l.in_flight = 1 AND l.head_id = d.id)
LIMIT :most;

-- name: drop_silent_sessions
DELETE FROM merged_sessions
WHERE lane_id IN (SELECT m.lane_id FROM merged_sessions m JOIN lanes l ON l.id = m.lane_id
                  WHERE m.changed_at_us < :before AND l.head_id IS NULL LIMIT :most);

-- name: to_forget
SELECT id, envelope_id, lane_id FROM deliveries WHERE forget_at_us <= :now LIMIT :most;

-- name: sum_up_tallies
DELETE FROM tallies WHERE n = 0;

-- name: hold_scopes
SELECT 1 WHERE FALSE;

-- ----------------------------------------------------------------------------------------------------- counting

-- name: count_states
SELECT state, sum(n) AS n FROM tallies GROUP BY state HAVING sum(n) > 0;

-- name: count_waiting
-- Of what is pending: held for want of certainty, and paused with the provider or the module.
WITH held AS (
    SELECT c.still_since_us IS NOT NULL AS still, count(*) AS n
    FROM lanes l INDEXED BY lanes_held
    CROSS JOIN channels c ON c.id = l.channel_id
    CROSS JOIN deliveries d ON d.lane_id = l.id AND d.id >= l.head_id AND d.state = 'pending'
    WHERE l.held_since_us IS NOT NULL
    GROUP BY 1
)
SELECT coalesce((SELECT sum(n) FROM held), 0) AS held,
       coalesce((SELECT sum(t.n)
                 FROM tallies t JOIN scopes s ON s.id = t.scope_id JOIN channels c ON c.id = s.channel_id
                 WHERE t.state = 'pending' AND c.still_since_us IS NOT NULL), 0)
           - coalesce((SELECT sum(n) FROM held WHERE still), 0) AS paused;

-- name: backlog
SELECT p.party, p.failures, p.paused_since_us, p.probe_at_us, p.pause_reason,
       coalesce(sum(t.n), 0) AS pending,
       coalesce(sum(CASE WHEN c.still_since_us IS NOT NULL THEN t.n END), 0) AS still,
       min((SELECT d.recorded_at_us FROM deliveries d
            WHERE d.scope_id = s.id AND d.state = 'pending' AND d.payload_until_us IS NOT 0
            ORDER BY d.id LIMIT 1)) AS oldest_us
FROM providers p
LEFT JOIN channels c ON c.provider_id = p.id
LEFT JOIN scopes s ON s.channel_id = c.id
LEFT JOIN tallies t ON t.scope_id = s.id AND t.state = 'pending'
GROUP BY p.id
ORDER BY p.party;

-- name: held_by_cause
-- The reason of a held head begins with its cause (after_attempt.held); what waits behind it waits for the same.
SELECT p.party, substr(h.reason, 1, instr(h.reason || ':', ':') - 1) AS cause, c.still_since_us IS NOT NULL AS still,
       count(*) AS n
FROM lanes l INDEXED BY lanes_held
CROSS JOIN channels c ON c.id = l.channel_id
CROSS JOIN providers p ON p.id = c.provider_id
CROSS JOIN deliveries h ON h.id = l.head_id
CROSS JOIN deliveries d ON d.lane_id = l.id AND d.id >= l.head_id AND d.state = 'pending'
WHERE l.held_since_us IS NOT NULL
GROUP BY p.party, cause, still;

-- ------------------------------------------------------------------------------------------------ what was learnt

-- name: wanting_signatures
SELECT address FROM providers WHERE wants_signatures = 1;

-- name: remember_wanting_signatures
UPDATE providers SET wants_signatures = 1 WHERE address = :address;
