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

-- name: find_lane
SELECT l.id, l.newest_id, l.stood_still_us, l.held_since_us, l.head_id, l.collapse, l.resting_until_us,
       (SELECT m.scope_id FROM merged_sessions m WHERE m.lane_id = l.id) AS merged_scope_id,
       n.recorded_at_us AS newest_at_us, n.content_digest = ?2 AND n.state NOT IN ('withdrawn', 'expired') AS same_again
FROM lanes l LEFT JOIN deliveries n ON n.id = l.newest_id
WHERE l.key = ?1;

-- name: add_copy
-- See sqlite_steps.sql for the order of the columns.
INSERT INTO added_copies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
                                 ?, ?, ?, ?, ?, ?, ?);

-- name: find_alike
-- What was withdrawn or expired never arrived, so it cannot be repeated.
SELECT id, recorded_at_us FROM deliveries
WHERE lane_id = ? AND recorded_at_us >= ? AND content_digest = ? AND state NOT IN ('withdrawn', 'expired')
ORDER BY id DESC LIMIT 1;

-- name: find_any
SELECT id FROM deliveries WHERE lane_id = ? AND state NOT IN ('withdrawn', 'expired') LIMIT 1;

-- name: add_duplicate
INSERT INTO duplicates (delivery_id, noted_at_us, correlation_id, receiver)
VALUES (:delivery_id, :noted_at_us, :correlation_id, :receiver);

-- name: keep_spool_mark
INSERT INTO meta (key, value) VALUES ('spool', :mark) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: count_attempt
UPDATE deliveries SET attempts = attempts + 1 WHERE id = :delivery_id;

-- name: begin_attempt
INSERT INTO attempts (delivery_id, number, started_at_us) VALUES (?, ?, ?);
