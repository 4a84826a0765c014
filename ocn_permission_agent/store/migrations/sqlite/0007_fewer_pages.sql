-- Fewer pages for each copy: one that is touched is written twice, to the log and to the file.

-- Correlation ids are random, so that each met a page of its own of an index over all of them. A thousand envelopes at a
-- time share a few pages; who looks for one asks for each thousand (by_correlation).
DROP INDEX envelopes_by_correlation;
CREATE INDEX envelopes_by_correlation ON envelopes (id >> 10, correlation_id);

-- Of a chain only the oldest entry that is kept tells whether there is anything to forget.
ALTER TABLE ledger_chains ADD COLUMN oldest_ended_at_us INTEGER; -- of that entry; NULL: there is none
UPDATE ledger_chains
SET oldest_ended_at_us = (SELECT e.ended_at_us FROM ledger_entries e
                          WHERE e.customer_address = ledger_chains.customer_address
                            AND e.number = ledger_chains.first_number);
DROP INDEX ledger_entries_by_end;
CREATE INDEX ledger_chains_by_end ON ledger_chains (oldest_ended_at_us) WHERE oldest_ended_at_us IS NOT NULL;
