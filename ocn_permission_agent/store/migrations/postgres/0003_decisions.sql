-- What the operator decided beside the chain, in the order of deciding. Rows are never changed or deleted: what holds
-- now is their fold, and they are the audit of it. Numbers grow in the order of commits: the table is locked for each.
CREATE TABLE decisions (
    number        BIGINT PRIMARY KEY,
    decided_at_us BIGINT NOT NULL,                              -- microseconds since 1970-01-01 UTC
    decided_by    TEXT NOT NULL CHECK (length(decided_by) BETWEEN 1 AND 200),
    kind          TEXT NOT NULL,                                -- class of the decision, such as StopAdded
    body          TEXT NOT NULL                                 -- JSON text
);
