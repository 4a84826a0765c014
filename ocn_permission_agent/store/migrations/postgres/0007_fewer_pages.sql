-- Fewer pages for each copy. On SQLite correlation ids are found otherwise since then, too.

-- Of a chain only the oldest entry that is kept tells whether there is anything to forget.
ALTER TABLE ledger_chains ADD COLUMN oldest_ended_at_us BIGINT; -- of that entry; NULL: there is none
UPDATE ledger_chains
SET oldest_ended_at_us = (SELECT e.ended_at_us FROM ledger_entries e
                          WHERE e.customer_address = ledger_chains.customer_address
                            AND e.number = ledger_chains.first_number);
DROP INDEX ledger_entries_by_end;
CREATE INDEX ledger_chains_by_end ON ledger_chains (oldest_ended_at_us) WHERE oldest_ended_at_us IS NOT NULL;
