-- The statements of outbox/stored_casework.py that both engines understand.

-- name: attempts_of
SELECT number, started_at_us, ended_at_us, verdict, http_status, ocpi_status, detail
FROM attempts WHERE delivery_id = :id ORDER BY number;

-- name: repeated
SELECT r.delivery_id, s.provider, r.noted_at_us, r.receiver
FROM duplicates r JOIN deliveries d ON d.id = r.delivery_id JOIN scopes s ON s.id = d.scope_id
WHERE r.correlation_id = :correlation_id
ORDER BY r.noted_at_us LIMIT 200;

-- name: not_copied
SELECT noted_at_us, correlation_id, sender, receiver, module, interface_role, method, reason
FROM not_copied WHERE correlation_id = :correlation_id ORDER BY id LIMIT 200;

-- name: missed
SELECT reason, first_at_us FROM gaps WHERE correlation_id = :correlation_id ORDER BY first_at_us LIMIT 200;

-- name: mark_discarded
UPDATE deliveries SET reason = :reason WHERE id = :id;

-- name: note_not_copied
INSERT INTO not_copied (noted_at_us, correlation_id, sender, receiver, module, interface_role, method, reason)
VALUES (:noted_at_us, :correlation_id, :sender, :receiver, :module, :interface_role, :method, :reason);
