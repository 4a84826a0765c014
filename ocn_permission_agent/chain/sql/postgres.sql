-- Of the statements of chain/decisions.py, those that each engine is told in its own way; the others: both.sql

-- name: lock_decisions
-- Numbers grow in the order of commits, so whoever has seen one has seen all before it.
LOCK TABLE decisions IN SHARE ROW EXCLUSIVE MODE;

-- name: write_decision
INSERT INTO decisions (number, decided_at_us, decided_by, kind, body)
VALUES ((SELECT coalesce(max(number), 0) + 1 FROM decisions), :decided_at_us, :decided_by, :kind, :body)
RETURNING number;
