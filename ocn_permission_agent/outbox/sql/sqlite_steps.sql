-- What nearly always happens to a copy, each as one statement: a row put into a view, whose trigger does the rest. Each
-- statement hands the interpreter's lock over and has to get it back, so that many small ones make the writer's thread
-- and the event loop wait for each other. Views and triggers belong to the connection, not to the file.

-- name: view_of_ends
CREATE TEMP VIEW IF NOT EXISTS ended_alone AS
SELECT NULL AS id, NULL AS number, NULL AS attempt_ended_at_us, NULL AS verdict, NULL AS http_status,
       NULL AS ocpi_status, NULL AS detail, NULL AS state, NULL AS reason, NULL AS now, NULL AS payload_until_us,
       NULL AS forget_at_us, NULL AS released_id, NULL AS lane_id, NULL AS collapse, NULL AS resting_until_us,
       NULL AS session, NULL AS scope_id, NULL AS through_id, NULL AS body;

-- name: ending_alone
-- As `end_attempt`, `end_delivery`, `release_payload`, `put_merged` or `drop_merged`, and `free_lane`.
CREATE TEMP TRIGGER IF NOT EXISTS ending_alone INSTEAD OF INSERT ON ended_alone BEGIN
    UPDATE attempts
    SET ended_at_us = NEW.attempt_ended_at_us, verdict = NEW.verdict, http_status = NEW.http_status,
        ocpi_status = NEW.ocpi_status, detail = NEW.detail
    WHERE delivery_id = NEW.id AND number = NEW.number;
    UPDATE deliveries
    SET state = NEW.state, reason = NEW.reason, ended_at_us = NEW.now, payload_until_us = NEW.payload_until_us,
        forget_at_us = NEW.forget_at_us
    WHERE id = NEW.id;
    UPDATE envelopes
    SET needed = needed - 1,
        body = CASE WHEN needed > 1 THEN body END,
        query = CASE WHEN needed > 1 THEN query END,
        ocn_signature = CASE WHEN needed > 1 THEN ocn_signature END
    WHERE id = NEW.released_id;
    DELETE FROM merged_sessions WHERE lane_id = NEW.lane_id AND NEW.session = 'over';
    INSERT INTO merged_sessions (lane_id, scope_id, through_id, body, changed_at_us)
    SELECT NEW.lane_id, NEW.scope_id, NEW.through_id, NEW.body, NEW.now WHERE NEW.session = 'moved'
    ON CONFLICT (lane_id) DO UPDATE
    SET scope_id = excluded.scope_id, through_id = excluded.through_id, body = excluded.body,
        changed_at_us = excluded.changed_at_us;
    UPDATE lanes
    SET in_flight = 0, head_id = NULL, due_at_us = NULL,
        resting_until_us = max(resting_until_us, NEW.resting_until_us),
        collapse = coalesce(NEW.collapse, collapse),
        stood_still_us = stood_still_us + max(0, NEW.now - coalesce(held_since_us, NEW.now)),
        held_since_us = NULL
    WHERE id = NEW.lane_id;
END;
