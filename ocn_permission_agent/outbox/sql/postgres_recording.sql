-- The statements of outbox/postgres_recording.py and of outbox/postgres.py: each for a whole group at once, columns as
-- arrays.

-- name: find_scopes
SELECT k.n, s.id AS scope_id, c.id AS channel_id, c.still_since_us, c.stood_still_us, p.party,
       p.id AS provider_id
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
     WITH ORDINALITY AS k (customer_address, provider_address, provider, agreement, module, interface_role, n)
JOIN providers p ON p.address = k.provider_address
JOIN channels c ON c.provider_id = p.id AND c.module = k.module
JOIN scopes s ON s.channel_id = c.id AND s.customer_address = k.customer_address AND s.agreement = k.agreement
             AND s.interface_role = k.interface_role AND s.provider = k.provider;

-- name: keep_scopes
-- While anybody records, scopes that nothing is left of are not removed; see `forget_empty_tallies`.
LOCK TABLE scopes IN ROW SHARE MODE;

-- name: add_providers
INSERT INTO providers (address, party) SELECT * FROM unnest($1::text[], $2::text[]) AS k (address, party) ORDER BY address
ON CONFLICT (address) DO NOTHING;

-- name: rename_providers
UPDATE providers SET party = k.party
FROM unnest($1::text[], $2::text[]) AS k (address, party)
WHERE providers.address = k.address AND providers.party <> k.party;

-- name: add_channels
INSERT INTO channels (provider_id, module, still_since_us)
SELECT p.id, k.module, CASE WHEN p.paused_since_us IS NOT NULL THEN k.recorded_at_us END
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (address, module, recorded_at_us)
JOIN providers p ON p.address = k.address
ORDER BY p.id, k.module
ON CONFLICT (provider_id, module) DO NOTHING;

-- name: add_scopes
INSERT INTO scopes (channel_id, customer_address, provider, agreement, agreement_block, interface_role)
SELECT c.id, k.customer_address, k.provider, k.agreement, k.agreement_block, k.interface_role
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
     AS k (customer_address, provider_address, provider, agreement, module, interface_role, agreement_block)
JOIN providers p ON p.address = k.provider_address
JOIN channels c ON c.provider_id = p.id AND c.module = k.module
ORDER BY c.id, k.customer_address, k.agreement, k.interface_role, k.provider
ON CONFLICT (channel_id, customer_address, agreement, interface_role, provider) DO NOTHING;

-- name: lock_lanes
-- Made or locked in the order of their keys, so that no two agents wait for each other. Only then are ids given out:
-- within a lane they grow in the order of commits.
WITH locked AS (
    INSERT INTO lanes AS l (key, channel_id, customer_address, owner, object_id, newest_id)
    SELECT k.key, k.channel_id, k.customer_address, k.owner, k.object_id, 0
    FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[])
         AS k (key, channel_id, customer_address, owner, object_id)
    ORDER BY k.key
    ON CONFLICT (key) DO UPDATE SET newest_id = l.newest_id
    RETURNING l.id, l.key, l.newest_id, l.stood_still_us, l.held_since_us, l.lease_number,
              CASE WHEN l.head_id IS NULL AND NOT l.collapse THEN l.resting_until_us END AS clear_from_us
), counted AS MATERIALIZED (
    SELECT count(*) AS n FROM locked
), given AS MATERIALIZED (
    SELECT array_agg(nextval('delivery_ids')) AS ids FROM counted, generate_series(1, $6::bigint + 0 * counted.n)
)
SELECT locked.*, given.ids
FROM locked CROSS JOIN given;

-- name: more_ids
SELECT array_agg(nextval('delivery_ids')) AS ids FROM generate_series(1, $1::bigint);

-- name: lock_free_providers
-- Who takes room of a provider holds its row. Nobody who records waits for that.
SELECT id FROM providers WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;

-- name: rooms
-- How many of their lanes are in flight, and when others were lately; and whether anything has been due since $2. Both
-- looks pass over what has died in the indexes, which is much while somebody else's transaction keeps it from being
-- cleared away: `took_us` tells.
SELECT p.id, p.party, p.recent_starts,
       (SELECT count(*) FROM channels c JOIN lanes l ON l.channel_id = c.id AND l.in_flight
        WHERE c.provider_id = p.id) AS in_flight,
       EXISTS (SELECT 1 FROM channels c
               WHERE c.provider_id = p.id
                 AND (SELECT l.due_at_us FROM lanes l
                      WHERE l.channel_id = c.id AND NOT l.in_flight AND l.due_at_us IS NOT NULL
                      ORDER BY l.due_at_us LIMIT 1) < $2::bigint) AS others_wait,
       (extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000000)::bigint AS took_us
FROM providers p WHERE p.id = ANY($1::bigint[]);

-- name: look_back
-- What was recorded in lanes that are not new, as far back as it matters. What was withdrawn or expired never arrived,
-- so it cannot be repeated.
SELECT k.n, w.newest_at_us, w.content_digest = k.digest AND w.state NOT IN ('withdrawn', 'expired') AS same_again,
       a.id AS alike_id, a.recorded_at_us AS alike_at_us, x.id IS NOT NULL AS any_earlier, y.id IS NOT NULL AS known,
       m.scope_id AS merged_scope_id
FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::boolean[], $6::bigint[])
     WITH ORDINALITY AS k (lane_id, newest_id, digest, since_us, any_matters, known_at_us, n)
LEFT JOIN merged_sessions m ON m.lane_id = k.lane_id
LEFT JOIN LATERAL (SELECT d.recorded_at_us AS newest_at_us, d.content_digest, d.state FROM deliveries d
                   WHERE d.id = k.newest_id) w ON TRUE
LEFT JOIN LATERAL (SELECT d.id, d.recorded_at_us FROM deliveries d
                   WHERE d.lane_id = k.lane_id AND d.recorded_at_us >= k.since_us AND d.content_digest = k.digest
                     AND d.state NOT IN ('withdrawn', 'expired')
                   ORDER BY d.id DESC LIMIT 1) a ON k.since_us IS NOT NULL
LEFT JOIN LATERAL (SELECT d.id FROM deliveries d
                   WHERE d.lane_id = k.lane_id AND d.state NOT IN ('withdrawn', 'expired') LIMIT 1) x ON k.any_matters
LEFT JOIN LATERAL (SELECT d.id FROM deliveries d
                   WHERE d.lane_id = k.lane_id AND d.recorded_at_us = k.known_at_us AND d.content_digest = k.digest
                   LIMIT 1) y ON k.known_at_us IS NOT NULL;

-- name: put_down
-- Envelopes ($1 …), deliveries ($21 …) and tallies ($36 …). The newest of a lane ($39 …) is remembered there; the first
-- that is pending is its head if nothing else was owed. With some the first attempt begins: whoever records holds their
-- lanes ($44, $45), and it counts with their providers ($46, $47).
WITH said AS (
    INSERT INTO envelopes (id, copies, needed, recorded_at_us, customer, customer_address, method, module,
                           interface_role, kind, version, segments, url_path, sender, receiver, request_id,
                           correlation_id, body, query, ocn_signature)
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
                         $15::text[], $16::text[], $17::text[], $18::bytea[], $19::text[], $20::text[])
), owed AS (
    INSERT INTO deliveries (id, envelope_id, lane_id, scope_id, state, fleeting, recorded_at_us, next_attempt_at_us,
                            expires_base_us, ended_at_us, reason, content_digest, payload_until_us, forget_at_us, attempts)
    SELECT * FROM unnest($21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[], $25::text[], $26::boolean[],
                         $27::bigint[], $28::bigint[], $29::bigint[], $30::bigint[], $31::text[], $32::bytea[],
                         $33::bigint[], $34::bigint[], $35::boolean[]::int[])
), tallied AS (
    INSERT INTO tallies (scope_id, state, n)
    SELECT * FROM unnest($36::bigint[], $37::text[], $38::bigint[])
), begun AS (
    INSERT INTO attempts (delivery_id, number, started_at_us)
    SELECT k.id, 1, k.recorded_at_us
    FROM unnest($21::bigint[], $27::bigint[], $35::boolean[]) AS k (id, recorded_at_us, begins) WHERE k.begins
), counted AS (
    UPDATE providers SET recent_starts = k.recent_starts
    FROM unnest($46::bigint[], $47::text[]) AS k (provider_id, recent_starts)
    WHERE providers.id = k.provider_id
)
UPDATE lanes
SET newest_id = k.newest_id,
    due_at_us = CASE WHEN lanes.head_id IS NULL AND k.head_id IS NOT NULL
                THEN greatest(k.due_at_us, lanes.resting_until_us) ELSE lanes.due_at_us END,
    head_id = coalesce(lanes.head_id, k.head_id),
    in_flight = lanes.in_flight OR k.begins,
    lease_holder = CASE WHEN k.begins THEN $44 ELSE lanes.lease_holder END,
    lease_number = lanes.lease_number + k.begins::int,
    leased_until_us = CASE WHEN k.begins THEN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $45::bigint
                      ELSE lanes.leased_until_us END
FROM unnest($39::bigint[], $40::bigint[], $41::bigint[], $42::bigint[], $43::boolean[])
     AS k (lane_id, newest_id, head_id, due_at_us, begins)
WHERE lanes.id = k.lane_id
RETURNING lanes.id;

-- name: add_duplicates
INSERT INTO duplicates (delivery_id, noted_at_us, correlation_id, receiver)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]);

-- name: keep_spool_mark
INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: lock_lanes_of
SELECT l.id FROM lanes l WHERE l.id IN (SELECT d.lane_id FROM deliveries d WHERE d.id = ANY($1::bigint[]))
ORDER BY l.key
FOR NO KEY UPDATE;

-- name: start_all
-- Those whose lane is held still begin, and hold it for a whole lease from now on, however late it is.
WITH asked AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[]) AS k (id, lease, number, started_at_us)
), held AS (
    UPDATE lanes SET leased_until_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $5::bigint
    FROM asked JOIN deliveries d ON d.id = asked.id
    WHERE lanes.id = d.lane_id AND lanes.in_flight AND lanes.head_id = d.id AND lanes.lease_number = asked.lease
    RETURNING d.id
), counted AS (
    UPDATE deliveries SET attempts = attempts + 1 WHERE id IN (SELECT id FROM held)
), begun AS (
    INSERT INTO attempts (delivery_id, number, started_at_us)
    SELECT asked.id, asked.number, asked.started_at_us FROM asked JOIN held ON held.id = asked.id
)
SELECT id FROM held;

-- name: lock_shared_envelopes
-- Of several deliveries, which may end through several agents at the same time: in the order of their ids.
SELECT e.id FROM envelopes e WHERE e.id = ANY($1::bigint[]) AND e.copies > 1 ORDER BY e.id FOR NO KEY UPDATE;
