-- What SQLite is asked about a whole group in one statement (store/many.py), and PostgreSQL about one after the other.

-- name: standings
-- As `standing_of` for many: one text, for each row costs the interpreter's lock.
WITH asked AS (SELECT column1 AS place, column2 AS lane_id, column3 AS id FROM (VALUES (?, ?, ?)))
SELECT json_group_array(json_object(
    'place', a.place,
    'paused_since_us', c.paused_since_us, 'probe_at_us', c.probe_at_us, 'pause_reason', c.pause_reason,
    'provider_failures', p.failures, 'provider_paused_since_us', p.paused_since_us,
    'provider_probe_at_us', p.probe_at_us, 'provider_pause_reason', p.pause_reason,
    'merged_scope_id', m.scope_id, 'merged_through_id', m.through_id,
    'merged_body', CASE WHEN m.body IS NOT NULL THEN hex(m.body) END,
    'alone', l.head_id = a.id AND l.newest_id = a.id, 'held', 1))
FROM asked a
CROSS JOIN lanes l ON l.id = a.lane_id
JOIN channels c ON c.id = l.channel_id
JOIN providers p ON p.id = c.provider_id
LEFT JOIN merged_sessions m ON m.lane_id = l.id;
