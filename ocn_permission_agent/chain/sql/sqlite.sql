-- Of the statements of chain/decisions.py, those that each engine is told in its own way; the others: both.sql

-- name: lock_decisions
-- There is one writer: nothing needs a lock.
SELECT 1;

-- name: write_decision
INSERT INTO decisions (decided_at_us, decided_by, kind, body) VALUES (:decided_at_us, :decided_by, :kind, :body);
