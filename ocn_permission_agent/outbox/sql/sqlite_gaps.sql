-- The statements of outbox/gap_store.py that each engine is told in its own way; the others: both_gaps.sql

-- name: count_details
SELECT count(*) AS n FROM gaps WHERE reason = :reason AND hour_us = :hour_us AND detailed = 1;

-- name: add_detail
INSERT INTO gaps (reason, hour_us, detailed, first_at_us, last_at_us, count, module, method, customer, object_id,
                  correlation_id)
VALUES (:reason, :hour_us, 1, :first_at_us, :last_at_us, 1, :module, :method, :customer, :object_id, :correlation_id);

-- name: add_to_sum
INSERT INTO gaps (reason, hour_us, detailed, first_at_us, last_at_us, count)
VALUES (:reason, :hour_us, 0, :first_at_us, :last_at_us, :count)
ON CONFLICT (reason, hour_us) WHERE detailed = 0 DO UPDATE
SET count = count + excluded.count,
    first_at_us = min(first_at_us, excluded.first_at_us),
    last_at_us = max(last_at_us, excluded.last_at_us);

-- name: totals
SELECT reason, sum(count) AS count, min(first_at_us) AS first_at_us, max(last_at_us) AS last_at_us
FROM gaps GROUP BY reason ORDER BY reason;

-- name: raise_meta
INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value
WHERE CAST(excluded.value AS INTEGER) > CAST(meta.value AS INTEGER);

-- name: begin_era
INSERT INTO store_eras (number, token, begun_at_us)
SELECT coalesce(max(number), 0) + 1, :token, :begun_at_us FROM store_eras WHERE true
ON CONFLICT (token) DO NOTHING;
