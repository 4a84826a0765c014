-- The statements of outbox/sqlite_recording.py, and those that start an attempt.

-- name: find_provider
SELECT id, party, paused_since_us FROM providers WHERE address = :address;

-- name: add_provider
INSERT INTO providers (address, party) VALUES (:address, :party);

-- name: rename_provider
UPDATE providers SET party = :party WHERE id = :id;

-- name: find_channel
SELECT id, still_since_us, stood_still_us FROM channels WHERE provider_id = :provider_id AND module = :module;

-- name: add_channel
INSERT INTO channels (provider_id, module, still_since_us) VALUES (:provider_id, :module, :still_since_us);

-- name: find_scope
SELECT id FROM scopes
WHERE channel_id = :channel_id AND customer_address = :customer_address AND agreement = :agreement
  AND interface_role = :interface_role AND provider = :provider;

-- name: add_scope
INSERT INTO scopes (channel_id, customer_address, provider, agreement, agreement_block, interface_role)
VALUES (:channel_id, :customer_address, :provider, :agreement, :agreement_block, :interface_role);

-- name: newest_delivery
-- A session may remember a delivery that is forgotten already.
SELECT max(coalesce((SELECT max(id) FROM deliveries), 0),
           coalesce((SELECT max(through_id) FROM merged_sessions), 0)) AS id;

-- name: newest_lane
SELECT coalesce(max(id), 0) AS id FROM lanes;

-- name: find_lanes
-- What is known of the lanes of items, as far as they are not new: one text, for each row costs the interpreter's lock.
-- What was withdrawn or expired never arrived, so it cannot be repeated. Without `since_us` only the newest matters.
WITH wanted AS (
    SELECT column1 AS place, column2 AS key, column3 AS digest, column4 AS since_us, column5 AS any_matters
    FROM (VALUES (?, ?, ?, ?, ?))
), found AS (
    SELECT w.place, l.id, l.newest_id, l.stood_still_us, l.held_since_us,
           CASE WHEN l.head_id IS NULL AND l.collapse = 0 THEN l.resting_until_us END AS clear_from_us,
           (SELECT m.scope_id FROM merged_sessions m WHERE m.lane_id = l.id) AS merged_scope_id,
           n.recorded_at_us AS newest_at_us,
           n.content_digest = w.digest AND n.state NOT IN ('withdrawn', 'expired') AS same_again,
           CASE WHEN w.since_us IS NOT NULL THEN
               (SELECT d.id FROM deliveries d
                WHERE d.lane_id = l.id AND d.recorded_at_us >= w.since_us AND d.content_digest = w.digest
                  AND d.state NOT IN ('withdrawn', 'expired')
                ORDER BY d.id DESC LIMIT 1) END AS alike_id,
           CASE WHEN w.any_matters THEN
               EXISTS (SELECT 1 FROM deliveries d
                       WHERE d.lane_id = l.id AND d.state NOT IN ('withdrawn', 'expired')) END AS any_earlier
    FROM wanted w CROSS JOIN lanes l ON l.key = w.key LEFT JOIN deliveries n ON n.id = l.newest_id
)
SELECT json_group_array(json_array(
    place, id, newest_id, stood_still_us, held_since_us, clear_from_us, merged_scope_id, newest_at_us, same_again,
    alike_id, (SELECT a.recorded_at_us FROM deliveries a WHERE a.id = alike_id), any_earlier))
FROM found;

-- name: add_envelopes
INSERT INTO envelopes (id, copies, needed, recorded_at_us, customer, customer_address, method, module, interface_role,
                       kind, version, segments, url_path, sender, receiver, request_id, correlation_id, body, query,
                       ocn_signature)
SELECT * FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) WHERE column1 IS NOT NULL;

-- name: add_lanes
INSERT INTO lanes (id, key, channel_id, customer_address, owner, object_id, newest_id, head_id, due_at_us, in_flight)
SELECT * FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) WHERE column1 IS NOT NULL;

-- name: grow_lanes
-- The first that is added and pending is the head if nothing else was owed.
UPDATE lanes
SET newest_id = k.newest_id,
    due_at_us = CASE WHEN lanes.head_id IS NULL AND k.head_id IS NOT NULL
                THEN max(k.due_at_us, lanes.resting_until_us) ELSE lanes.due_at_us END,
    head_id = coalesce(lanes.head_id, k.head_id),
    in_flight = max(lanes.in_flight, k.begins)
FROM (SELECT column1 AS lane_id, column2 AS newest_id, column3 AS head_id, column4 AS due_at_us, column5 AS begins
      FROM (VALUES (?, ?, ?, ?, ?))) AS k
WHERE lanes.id = k.lane_id;

-- name: add_deliveries
INSERT INTO deliveries (id, envelope_id, lane_id, scope_id, state, fleeting, recorded_at_us, next_attempt_at_us,
                        expires_base_us, ended_at_us, reason, content_digest, payload_until_us, forget_at_us, attempts)
SELECT * FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) WHERE column1 IS NOT NULL;

-- name: add_tallies
INSERT INTO tallies (scope_id, state, n) SELECT * FROM (VALUES (?, ?, ?)) WHERE column1 IS NOT NULL
ON CONFLICT (scope_id, state) DO UPDATE SET n = n + excluded.n;

-- name: add_duplicates
INSERT INTO duplicates (delivery_id, noted_at_us, correlation_id, receiver)
SELECT * FROM (VALUES (?, ?, ?, ?)) WHERE column1 IS NOT NULL;

-- name: keep_spool_mark
INSERT INTO meta (key, value) VALUES ('spool', :mark) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: count_attempts
UPDATE deliveries SET attempts = attempts + 1 FROM (VALUES (?)) AS k WHERE deliveries.id = k.column1;

-- name: begin_attempts
INSERT INTO attempts (delivery_id, number, started_at_us)
SELECT * FROM (VALUES (?, ?, ?)) WHERE column1 IS NOT NULL;
