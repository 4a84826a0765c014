-- What SQLite is told about a whole group of deliveries in one statement (store/many.py).

-- name: standings
-- As `standing_of` of many: lanes, and their channels, which are few. One text, for each row costs the interpreter's lock.
-- A session's body is needed where a PATCH changes it, or where what is said is in it already.
WITH asked AS (
    SELECT column1 AS place, column2 AS lane_id, column3 AS channel_id, column4 AS id, column5 AS patches
    FROM (VALUES (?, ?, ?, ?, ?))
)
SELECT json_array(
    (SELECT json_group_array(json_array(
         a.place, l.head_id = a.id AND l.newest_id = a.id, m.scope_id, m.through_id,
         CASE WHEN a.patches OR m.through_id >= a.id THEN hex(m.body) END))
     FROM asked a CROSS JOIN lanes l ON l.id = a.lane_id LEFT JOIN merged_sessions m ON m.lane_id = l.id),
    (SELECT json_group_array(json_object(
         'channel_id', c.id, 'paused_since_us', c.paused_since_us, 'probe_at_us', c.probe_at_us,
         'pause_reason', c.pause_reason, 'provider_failures', p.failures,
         'provider_paused_since_us', p.paused_since_us, 'provider_probe_at_us', p.probe_at_us,
         'provider_pause_reason', p.pause_reason))
     FROM channels c JOIN providers p ON p.id = c.provider_id
     WHERE c.id IN (SELECT channel_id FROM asked)));

-- name: end_alone
-- All that follows from the last attempt of a delivery that has its lane for itself: as `end_attempt`, `end_delivery`,
-- `release_payload`, `put_merged` or `drop_merged`, and `free_lane`.
INSERT INTO ended_alone
SELECT * FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) WHERE column1 IS NOT NULL;
