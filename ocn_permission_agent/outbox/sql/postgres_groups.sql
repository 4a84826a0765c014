-- What PostgreSQL is told about a whole group of deliveries at once, columns as arrays (outbox/postgres_settling.py).

-- name: standings
-- As `standing_of` of many, whose lanes are locked already. A session's body is needed where a PATCH changes it, or where
-- what is said is in it already.
SELECT k.n, l.in_flight AND l.head_id = k.id AND l.lease_number = k.lease AS held,
       l.head_id = k.id AND l.newest_id = k.id AS alone, l.channel_id,
       c.paused_since_us, c.probe_at_us, c.pause_reason,
       p.failures AS provider_failures, p.paused_since_us AS provider_paused_since_us,
       p.probe_at_us AS provider_probe_at_us, p.pause_reason AS provider_pause_reason,
       m.scope_id AS merged_scope_id, m.through_id AS merged_through_id,
       CASE WHEN k.patches OR m.through_id >= k.id THEN m.body END AS merged_body
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[])
     WITH ORDINALITY AS k (lane_id, id, lease, patches, n)
JOIN lanes l ON l.id = k.lane_id
JOIN channels c ON c.id = l.channel_id
JOIN providers p ON p.id = c.provider_id
LEFT JOIN merged_sessions m ON m.lane_id = l.id;

-- name: end_alone
-- All that follows from the last attempts of deliveries that have their lanes for themselves: as `end_attempt`,
-- `end_delivery`, `release_payload`, `put_merged` or `drop_merged`, and `free_lane`.
WITH ended AS MATERIALIZED (
    SELECT *
    FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
                $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::boolean[],
                $16::bigint[], $17::text[], $18::bigint[], $19::bigint[], $20::bytea[])
         AS k (id, number, attempt_ended_at_us, verdict, http_status, ocpi_status, detail, state, reason, now,
               payload_until_us, forget_at_us, released_id, lane_id, collapse, resting_until_us, session, scope_id,
               through_id, body)
), attempt AS (
    UPDATE attempts
    SET ended_at_us = k.attempt_ended_at_us, verdict = k.verdict, http_status = k.http_status,
        ocpi_status = k.ocpi_status, detail = k.detail
    FROM ended k
    WHERE attempts.delivery_id = k.id AND attempts.number = k.number
), delivery AS (
    UPDATE deliveries
    SET state = k.state, reason = k.reason, ended_at_us = k.now, payload_until_us = k.payload_until_us,
        forget_at_us = k.forget_at_us
    FROM ended k
    WHERE deliveries.id = k.id
), envelope AS (
    UPDATE envelopes
    SET needed = needed - k.times,
        body = CASE WHEN needed > k.times THEN body END,
        query = CASE WHEN needed > k.times THEN query END,
        ocn_signature = CASE WHEN needed > k.times THEN ocn_signature END
    FROM (SELECT released_id, count(*)::int AS times FROM ended WHERE released_id IS NOT NULL GROUP BY released_id) k
    WHERE envelopes.id = k.released_id
), over AS (
    DELETE FROM merged_sessions USING ended k WHERE merged_sessions.lane_id = k.lane_id AND k.session = 'over'
), moved AS (
    INSERT INTO merged_sessions (lane_id, scope_id, through_id, body, changed_at_us)
    SELECT k.lane_id, k.scope_id, k.through_id, k.body, k.now FROM ended k WHERE k.session = 'moved'
    ON CONFLICT (lane_id) DO UPDATE
    SET scope_id = excluded.scope_id, through_id = excluded.through_id, body = excluded.body,
        changed_at_us = excluded.changed_at_us
)
UPDATE lanes
SET in_flight = FALSE, lease_holder = NULL, head_id = NULL, due_at_us = NULL,
    resting_until_us = greatest(lanes.resting_until_us, k.resting_until_us),
    collapse = coalesce(k.collapse, lanes.collapse),
    stood_still_us = lanes.stood_still_us + greatest(0, k.now - coalesce(lanes.held_since_us, k.now)),
    held_since_us = NULL
FROM ended k
WHERE lanes.id = k.lane_id
RETURNING lanes.id;
