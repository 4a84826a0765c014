-- What nearly always happens to a copy, each as one statement: a row put into a view, whose trigger does the rest. Each
-- statement hands the interpreter's lock over and has to get it back, so that many small ones make the writer's thread
-- and the event loop wait for each other. Views and triggers belong to the connection, not to the file.

-- name: view_of_copies
CREATE TEMP VIEW IF NOT EXISTS added_copies AS
SELECT NULL AS copies, NULL AS customer, NULL AS customer_address, NULL AS method, NULL AS module,
       NULL AS interface_role, NULL AS kind, NULL AS version, NULL AS segments, NULL AS url_path, NULL AS sender,
       NULL AS receiver, NULL AS request_id, NULL AS correlation_id, NULL AS body, NULL AS query, NULL AS ocn_signature,
       NULL AS lane_id, NULL AS key, NULL AS channel_id, NULL AS lane_customer_address, NULL AS owner,
       NULL AS object_id, NULL AS head_id, NULL AS begins,
       NULL AS id, NULL AS envelope_id, NULL AS scope_id, NULL AS state, NULL AS fleeting, NULL AS recorded_at_us,
       NULL AS expires_base_us, NULL AS ended_at_us, NULL AS reason, NULL AS content_digest, NULL AS payload_until_us,
       NULL AS forget_at_us;

-- name: adding_of_copies
-- The first delivery of a plan brings the envelope along, and the first of a lane the lane: `copies` or `key` is NULL
-- where they are there already. The new delivery is the lane's head if nothing else was owed in it.
CREATE TEMP TRIGGER IF NOT EXISTS adding_of_copies INSTEAD OF INSERT ON added_copies BEGIN
    INSERT INTO envelopes (id, copies, needed, recorded_at_us, customer, customer_address, method, module,
                           interface_role, kind, version, segments, url_path, sender, receiver, request_id,
                           correlation_id, body, query, ocn_signature)
    SELECT NEW.envelope_id, NEW.copies, NEW.copies, NEW.recorded_at_us, NEW.customer, NEW.customer_address, NEW.method,
           NEW.module, NEW.interface_role, NEW.kind, NEW.version, NEW.segments, NEW.url_path, NEW.sender, NEW.receiver,
           NEW.request_id, NEW.correlation_id, NEW.body, NEW.query, NEW.ocn_signature
    WHERE NEW.copies IS NOT NULL;
    INSERT INTO lanes (id, key, channel_id, customer_address, owner, object_id, head_id, due_at_us, newest_id, in_flight)
    SELECT NEW.lane_id, NEW.key, NEW.channel_id, NEW.lane_customer_address, NEW.owner, NEW.object_id, NEW.head_id,
           CASE WHEN NEW.head_id IS NOT NULL THEN NEW.recorded_at_us END, NEW.id, NEW.begins
    WHERE NEW.key IS NOT NULL;
    UPDATE lanes
    SET newest_id = NEW.id,
        due_at_us = CASE WHEN head_id IS NULL AND NEW.head_id IS NOT NULL
                    THEN max(NEW.recorded_at_us, resting_until_us) ELSE due_at_us END,
        head_id = coalesce(head_id, NEW.head_id),
        in_flight = max(in_flight, NEW.begins)
    WHERE id = NEW.lane_id AND NEW.key IS NULL;
    INSERT INTO deliveries (id, envelope_id, lane_id, scope_id, state, fleeting, recorded_at_us, next_attempt_at_us,
                            expires_base_us, ended_at_us, reason, content_digest, payload_until_us, forget_at_us,
                            attempts)
    VALUES (NEW.id, NEW.envelope_id, NEW.lane_id, NEW.scope_id, NEW.state, NEW.fleeting, NEW.recorded_at_us,
            NEW.recorded_at_us, NEW.expires_base_us, NEW.ended_at_us, NEW.reason, NEW.content_digest,
            NEW.payload_until_us, NEW.forget_at_us, NEW.begins);
    INSERT INTO tallies (scope_id, state, n) VALUES (NEW.scope_id, NEW.state, 1)
    ON CONFLICT (scope_id, state) DO UPDATE SET n = n + 1;
    INSERT INTO attempts (delivery_id, number, started_at_us)
    SELECT NEW.id, 1, NEW.recorded_at_us WHERE NEW.begins;
END;

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
