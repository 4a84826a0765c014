-- The statements of the outbox on PostgreSQL, by the same names as in sqlite.sql.
-- The schema with its comments, and in which order rows are locked: store/migrations/postgres/0001_outbox.sql

-- ----------------------------------------------------------------------------------------------------- claiming

-- name: lock_providers_due
-- One agent at a time claims of a provider: so its limits hold over all agents. The first lane of a channel is asked for
-- by order, here and below: a planner that may choose reads all lanes instead of the index.
SELECT p.id FROM providers p
WHERE (p.paused_since_us IS NULL OR p.probe_at_us <= :now::bigint)
  AND EXISTS (SELECT 1 FROM channels c
              WHERE c.provider_id = p.id
                AND (SELECT l.due_at_us FROM lanes l
                     WHERE l.channel_id = c.id AND NOT l.in_flight AND l.due_at_us IS NOT NULL
                     ORDER BY l.due_at_us LIMIT 1)
                    <= CASE WHEN p.paused_since_us IS NULL AND c.paused_since_us IS NULL
                       THEN :now ELSE 9223372036854775807 END)
ORDER BY p.id
FOR NO KEY UPDATE;

-- name: channels_with_due
-- A paused provider, and a paused module, is asked with one delivery at a time.
SELECT c.id, c.provider_id, p.address, p.party, c.module, c.returned_at_us,
       p.paused_since_us IS NOT NULL AS provider_paused, c.paused_since_us IS NOT NULL AS module_paused,
       p.recent_starts,
       (SELECT count(*) FROM channels o JOIN lanes l ON l.channel_id = o.id AND l.in_flight
        WHERE o.provider_id = p.id) AS in_flight
FROM channels c JOIN providers p ON p.id = c.provider_id
WHERE CASE
      WHEN p.paused_since_us IS NOT NULL
      THEN p.probe_at_us <= :now::bigint
           AND NOT EXISTS (SELECT 1 FROM channels o JOIN lanes l ON l.channel_id = o.id AND l.in_flight
                           WHERE o.provider_id = p.id)
      WHEN c.paused_since_us IS NOT NULL
      THEN c.probe_at_us <= :now
           AND NOT EXISTS (SELECT 1 FROM lanes l WHERE l.channel_id = c.id AND l.in_flight)
      ELSE (SELECT l.due_at_us FROM lanes l
            WHERE l.channel_id = c.id AND NOT l.in_flight AND l.due_at_us IS NOT NULL
            ORDER BY l.due_at_us LIMIT 1) <= :now
      END
ORDER BY c.provider_id, module_paused, c.id;

-- name: lanes_due
-- A lane that somebody records into just now is left for the next time.
SELECT id, head_id, due_at_us, collapse FROM lanes
WHERE channel_id = :channel_id AND NOT in_flight AND due_at_us <= :due_by AND resting_until_us <= :now
ORDER BY due_at_us, head_id LIMIT :room
FOR NO KEY UPDATE SKIP LOCKED;

-- name: mark_in_flight
UPDATE lanes
SET in_flight = TRUE, head_id = k.head_id, lease_holder = k.holder, lease_number = lease_number + 1,
    leased_until_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + k.lease_us
FROM unnest(:lane_id::bigint[], :head_id::bigint[], :holder::text[], :lease_us::bigint[])
     AS k (lane_id, head_id, holder, lease_us)
WHERE lanes.id = k.lane_id;

-- name: note_starts
UPDATE providers SET recent_starts = :recent_starts WHERE id = :provider_id;

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
                  + greatest(0, :now::bigint - coalesce(l.held_since_us, :now))
                  + greatest(0, :now::bigint - coalesce(c.still_since_us, :now))
                  + CASE WHEN l.due_at_us < c.returned_at_us THEN greatest(0, :now - c.returned_at_us) ELSE 0 END
             END AS expires_at_us,
       d.reason, l.owner, l.object_id, l.lease_number AS lease,
       m.lane_id IS NOT NULL AS whole_known,
       d.in_doubt,
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
WHERE d.id = ANY (ARRAY(SELECT value::bigint FROM jsonb_array_elements_text(:ids::jsonb)))
ORDER BY d.id;

-- name: next_due
-- What is due already counts too: somebody else may have left it, or it waits for a limit that others use up.
SELECT min(CASE WHEN p.paused_since_us IS NOT NULL THEN p.probe_at_us
                WHEN c.paused_since_us IS NOT NULL THEN c.probe_at_us
                ELSE f.due_at_us END) AS at_us
FROM channels c
JOIN providers p ON p.id = c.provider_id
CROSS JOIN LATERAL (SELECT l.due_at_us FROM lanes l
                    WHERE l.channel_id = c.id AND NOT l.in_flight AND l.due_at_us IS NOT NULL
                    ORDER BY l.due_at_us LIMIT 1) f
WHERE :now::bigint IS NOT NULL;

-- name: left_behind
-- What its holder will not settle any more: its lease is over; or :own, and the holder has begun anew.
SELECT l.id AS lane_id, l.head_id, a.started_at_us
FROM lanes l
LEFT JOIN deliveries d ON d.id = l.head_id
LEFT JOIN attempts a ON a.delivery_id = d.id AND a.number = d.attempts AND a.ended_at_us IS NULL
WHERE l.in_flight
  AND (l.leased_until_us < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
       OR (:own::boolean AND l.lease_holder = :holder))
ORDER BY l.head_id
FOR NO KEY UPDATE OF l SKIP LOCKED;

-- name: take_over
UPDATE lanes
SET lease_holder = :holder, lease_number = lease_number + 1,
    leased_until_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + :lease_us
WHERE id = :lane_id;

-- name: unmark_in_flight
UPDATE lanes SET in_flight = FALSE, lease_holder = NULL WHERE id = :lane_id;

-- name: unmark_all
UPDATE lanes SET in_flight = FALSE, lease_holder = NULL, lease_number = lease_number + 1 WHERE in_flight;

-- name: renew_leases
UPDATE lanes SET leased_until_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + :lease_us
WHERE in_flight AND lease_holder = :holder
  AND id = ANY (ARRAY(SELECT d.lane_id FROM deliveries d
                      WHERE d.id = ANY (ARRAY(SELECT value::bigint
                                              FROM jsonb_array_elements_text(:delivery_ids::jsonb)))));

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
       l.in_flight AND l.head_id = :id AND l.lease_number = :lease AS held
FROM lanes l
JOIN channels c ON c.id = l.channel_id
JOIN providers p ON p.id = c.provider_id
LEFT JOIN merged_sessions m ON m.lane_id = l.id
WHERE l.id = :lane_id;

-- name: keep_pending
UPDATE deliveries
SET reason = :reason, next_attempt_at_us = :next_attempt_at_us, in_doubt = in_doubt OR :in_doubt
WHERE id = :id;

-- name: free_lane
-- A lane that has waited for its turn since its provider returned, and has had it: its windows stood still meanwhile.
UPDATE lanes
SET in_flight = FALSE, lease_holder = NULL, head_id = :head_id,
    resting_until_us = greatest(resting_until_us, :resting_until_us),
    due_at_us = CASE WHEN :head_id::bigint IS NULL THEN NULL
                ELSE greatest(:due_at_us::bigint, resting_until_us, :resting_until_us) END,
    collapse = coalesce(:collapse::boolean, collapse),
    stood_still_us = stood_still_us + greatest(0, :now::bigint - coalesce(held_since_us, :now))
        + coalesce((SELECT greatest(0, :now - c.returned_at_us) FROM channels c
                    WHERE c.id = lanes.channel_id AND lanes.due_at_us < c.returned_at_us
                      AND :due_at_us >= c.returned_at_us), 0),
    held_since_us = CASE WHEN :held::boolean AND :head_id IS NOT NULL THEN :now END
WHERE id = :lane_id;

-- name: lock_breaker
SELECT failures, paused_since_us, probe_at_us, pause_reason FROM providers WHERE id = :provider_id FOR NO KEY UPDATE;

-- name: begin_still
UPDATE channels SET still_since_us = coalesce(still_since_us, :now)
WHERE (:channel_id::bigint IS NULL OR id = :channel_id) AND provider_id = :provider_id;

-- name: end_still
-- Of channels that nothing pauses any more; what waited there is due by its age, so that the oldest goes first.
UPDATE channels
SET stood_still_us = stood_still_us + greatest(0, :now - still_since_us), still_since_us = NULL, returned_at_us = :now
WHERE provider_id = :provider_id AND still_since_us IS NOT NULL AND paused_since_us IS NULL
  AND NOT EXISTS (SELECT 1 FROM providers p WHERE p.id = :provider_id AND p.paused_since_us IS NOT NULL);

-- name: hurry
-- Oldest first; what was recorded by a clock that was put back since is due too.
UPDATE lanes
SET due_at_us = greatest(lanes.resting_until_us, least(k.recorded_at_us, :now::bigint - 1))
FROM (SELECT l.id, l.head_id, d.recorded_at_us
      FROM lanes l JOIN deliveries d ON d.id = l.head_id
      WHERE l.channel_id IN (SELECT id FROM channels WHERE provider_id = :provider_id AND still_since_us IS NULL)
        AND NOT l.in_flight AND l.due_at_us > :now AND l.id <> :lane_id
      ORDER BY l.key
      FOR NO KEY UPDATE OF l) k
WHERE lanes.id = k.id AND lanes.head_id = k.head_id AND NOT lanes.in_flight;

-- name: hurry_held
UPDATE lanes
SET due_at_us = greatest(lanes.resting_until_us, :now::bigint)
FROM (SELECT id FROM lanes WHERE held_since_us IS NOT NULL AND NOT in_flight AND due_at_us > :now ORDER BY key
      FOR NO KEY UPDATE) k
WHERE lanes.id = k.id AND NOT lanes.in_flight AND lanes.due_at_us > :now;

-- ------------------------------------------------------------------------------------------------------- upkeep

-- name: bring_lanes_forward
-- The clock of an agent was put back by :by, to :now: what was due by the old one waits for no longer than before.
UPDATE lanes
SET due_at_us = CASE WHEN due_at_us > :now::bigint THEN due_at_us - :by::bigint ELSE due_at_us END,
    resting_until_us = CASE WHEN resting_until_us > :now THEN resting_until_us - :by ELSE resting_until_us END,
    held_since_us = CASE WHEN held_since_us > :now THEN :now ELSE held_since_us END
WHERE due_at_us > :now OR resting_until_us > :now OR held_since_us > :now;

-- name: bring_deliveries_forward
UPDATE deliveries SET next_attempt_at_us = next_attempt_at_us - :by::bigint
WHERE state = 'pending' AND next_attempt_at_us > :now::bigint;

-- name: bring_providers_forward
UPDATE providers
SET probe_at_us = CASE WHEN probe_at_us > :now::bigint THEN probe_at_us - :by::bigint ELSE probe_at_us END,
    paused_since_us = least(paused_since_us, :now)
WHERE paused_since_us IS NOT NULL;

-- name: bring_channels_forward
UPDATE channels
SET probe_at_us = CASE WHEN probe_at_us > :now::bigint THEN probe_at_us - :by::bigint ELSE probe_at_us END,
    paused_since_us = CASE WHEN paused_since_us > :now THEN :now ELSE paused_since_us END,
    still_since_us = CASE WHEN still_since_us > :now THEN :now ELSE still_since_us END,
    returned_at_us = least(returned_at_us, :now);

-- name: scopes_needed
-- Scopes with anything pending, or with a payload that is kept.
SELECT DISTINCT s.customer_address, p.address AS provider_address, s.agreement, c.module, s.interface_role
FROM scopes s JOIN channels c ON c.id = s.channel_id JOIN providers p ON p.id = c.provider_id
WHERE (SELECT d.id FROM deliveries d WHERE d.scope_id = s.id AND d.payload_until_us IS DISTINCT FROM 0
       ORDER BY d.state, d.id LIMIT 1) IS NOT NULL
   OR EXISTS (SELECT 1 FROM merged_sessions m WHERE m.scope_id = s.id);

-- name: pending_of_scope
-- Some are found, then their lanes are locked in order, then those are told that are pending still.
WITH found AS MATERIALIZED (
    SELECT d.id, d.lane_id
    FROM deliveries d JOIN lanes l ON l.id = d.lane_id
    WHERE d.scope_id = :scope_id AND d.state = 'pending' AND d.payload_until_us IS DISTINCT FROM 0
      AND NOT (l.in_flight AND l.head_id = d.id)
    LIMIT :most
)
SELECT d.id, d.lane_id, l.in_flight
FROM found f JOIN lanes l ON l.id = f.lane_id JOIN deliveries d ON d.id = f.id
WHERE d.state = 'pending' AND NOT (l.in_flight AND l.head_id = d.id)
ORDER BY l.key
FOR NO KEY UPDATE OF l, d;

-- name: pending_of_all
WITH found AS MATERIALIZED (SELECT id, lane_id FROM deliveries WHERE state = 'pending' LIMIT :most)
SELECT d.id, d.lane_id
FROM found f JOIN lanes l ON l.id = f.lane_id JOIN deliveries d ON d.id = f.id
WHERE d.state = 'pending'
ORDER BY l.key
FOR NO KEY UPDATE OF l, d;

-- name: kept_of_scope
WITH found AS MATERIALIZED (
    SELECT id FROM deliveries
    WHERE scope_id = :scope_id AND payload_until_us IS DISTINCT FROM 0 AND state <> 'pending' LIMIT :most
)
SELECT d.id, d.envelope_id
FROM found f JOIN deliveries d ON d.id = f.id
WHERE d.payload_until_us IS DISTINCT FROM 0 AND d.state <> 'pending'
ORDER BY d.id
FOR NO KEY UPDATE OF d;

-- name: payloads_to_let_go
WITH found AS MATERIALIZED (
    SELECT id FROM deliveries WHERE payload_until_us > 0 AND payload_until_us <= :now LIMIT :most
)
SELECT d.id, d.envelope_id
FROM found f JOIN deliveries d ON d.id = f.id
WHERE d.payload_until_us > 0 AND d.payload_until_us <= :now
ORDER BY d.id
FOR NO KEY UPDATE OF d;

-- name: fleeting_over
WITH found AS MATERIALIZED (
    SELECT d.id, d.lane_id
    FROM deliveries d JOIN lanes l ON l.id = d.lane_id
    WHERE d.fleeting AND d.state = 'pending' AND d.expires_base_us < :now AND NOT (l.in_flight AND l.head_id = d.id)
    LIMIT :most
)
SELECT d.id, d.lane_id, l.in_flight, s.provider, c.module
FROM found f
JOIN deliveries d ON d.id = f.id
JOIN lanes l ON l.id = d.lane_id JOIN scopes s ON s.id = d.scope_id JOIN channels c ON c.id = s.channel_id
WHERE d.state = 'pending' AND NOT (l.in_flight AND l.head_id = d.id)
ORDER BY l.key
FOR NO KEY UPDATE OF l, d;

-- name: drop_silent_sessions
DELETE FROM merged_sessions
WHERE lane_id IN (SELECT m.lane_id FROM merged_sessions m JOIN lanes l ON l.id = m.lane_id
                  WHERE m.changed_at_us < :before AND l.head_id IS NULL LIMIT :most
                  FOR NO KEY UPDATE OF l SKIP LOCKED);

-- name: to_forget
WITH found AS MATERIALIZED (SELECT id, lane_id FROM deliveries WHERE forget_at_us <= :now LIMIT :most)
SELECT d.id, d.envelope_id, d.lane_id
FROM found f JOIN lanes l ON l.id = f.lane_id JOIN deliveries d ON d.id = f.id
WHERE d.forget_at_us <= :now
ORDER BY l.key
FOR UPDATE OF l, d;

-- name: sum_up_tallies
WITH gone AS (DELETE FROM tallies RETURNING scope_id, state, n)
INSERT INTO tallies (scope_id, state, n)
SELECT scope_id, state, sum(n)::bigint FROM gone GROUP BY scope_id, state HAVING sum(n) <> 0;

-- name: hold_scopes
-- Nobody records meanwhile: whoever does holds ROW SHARE.
LOCK TABLE scopes IN EXCLUSIVE MODE;

-- ----------------------------------------------------------------------------------------------------- counting

-- name: count_states
SELECT state, sum(n)::bigint AS n FROM tallies GROUP BY state HAVING sum(n) > 0;

-- name: count_waiting
-- Of what is pending: held for want of certainty, and paused with the provider or the module.
WITH held AS (
    SELECT c.still_since_us IS NOT NULL AS still, count(*) AS n
    FROM lanes l
    JOIN channels c ON c.id = l.channel_id
    JOIN deliveries d ON d.lane_id = l.id AND d.id >= l.head_id AND d.state = 'pending'
    WHERE l.held_since_us IS NOT NULL
    GROUP BY 1
)
SELECT coalesce((SELECT sum(n) FROM held), 0)::bigint AS held,
       (coalesce((SELECT sum(t.n)
                  FROM tallies t JOIN scopes s ON s.id = t.scope_id JOIN channels c ON c.id = s.channel_id
                  WHERE t.state = 'pending' AND c.still_since_us IS NOT NULL), 0)
            - coalesce((SELECT sum(n) FROM held WHERE still), 0))::bigint AS paused;

-- name: backlog
SELECT p.party, p.failures, p.paused_since_us, p.probe_at_us, p.pause_reason,
       coalesce(sum(t.n), 0)::bigint AS pending,
       coalesce(sum(CASE WHEN c.still_since_us IS NOT NULL THEN t.n END), 0)::bigint AS still,
       min((SELECT d.recorded_at_us FROM deliveries d
            WHERE d.scope_id = s.id AND d.state = 'pending' AND d.payload_until_us IS DISTINCT FROM 0
            ORDER BY d.id LIMIT 1)) AS oldest_us
FROM providers p
LEFT JOIN channels c ON c.provider_id = p.id
LEFT JOIN scopes s ON s.channel_id = c.id
LEFT JOIN (SELECT scope_id, sum(n) AS n FROM tallies WHERE state = 'pending' GROUP BY scope_id) t ON t.scope_id = s.id
GROUP BY p.id
ORDER BY p.party;

-- name: held_by_cause
-- The reason of a held head begins with its cause (after_attempt.held); what waits behind it waits for the same.
SELECT p.party, split_part(h.reason, ':', 1) AS cause, c.still_since_us IS NOT NULL AS still, count(*) AS n
FROM lanes l
JOIN channels c ON c.id = l.channel_id
JOIN providers p ON p.id = c.provider_id
JOIN deliveries h ON h.id = l.head_id
JOIN deliveries d ON d.lane_id = l.id AND d.id >= l.head_id AND d.state = 'pending'
WHERE l.held_since_us IS NOT NULL
GROUP BY 1, 2, 3;

-- ------------------------------------------------------------------------------------------------ what was learnt

-- name: wanting_signatures
SELECT address FROM providers WHERE wants_signatures;

-- name: remember_wanting_signatures
UPDATE providers SET wants_signatures = TRUE WHERE address = :address;
