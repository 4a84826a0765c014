-- The ledger of disclosures. What the columns hold and how to check it: docs/reference/ledger.md. The format is final.

-- One entry per outcome, chained per customer. Erasing an entry sets salt and entry to NULL; the chain still verifies.
CREATE TABLE ledger_entries (
    customer_address TEXT NOT NULL CHECK (length(customer_address) = 42),
    number           BIGINT NOT NULL CHECK (number > 0), -- 1, 2, 3 … of this customer, without a hole
    ended_at_us      BIGINT NOT NULL,                    -- of the outcome; for retention
    salt             BYTEA CHECK (length(salt) = 16),
    entry            BYTEA,                              -- JSON text, the bytes that were hashed
    commitment       BYTEA NOT NULL CHECK (length(commitment) = 32), -- SHA-256(salt, entry)
    link             BYTEA NOT NULL CHECK (length(link) = 32), -- SHA-256(link before, number, commitment)
    PRIMARY KEY (customer_address, number),
    CHECK ((salt IS NULL) = (entry IS NULL))
);
CREATE INDEX ledger_entries_by_end ON ledger_entries (ended_at_us);

-- Where each customer's chain begins, for what is kept of it, and where it ends.
CREATE TABLE ledger_chains (
    customer_address TEXT PRIMARY KEY CHECK (length(customer_address) = 42),
    first_number     BIGINT NOT NULL CHECK (first_number > 0), -- of the oldest entry that is kept, or of the next
    link_before      BYTEA NOT NULL CHECK (length(link_before) = 32), -- the link that it continues
    last_number      BIGINT NOT NULL CHECK (last_number >= 0),
    last_link        BYTEA NOT NULL CHECK (length(last_link) = 32),
    sealed_number    BIGINT NOT NULL DEFAULT 0,          -- of the newest checkpoint, 0 for none
    sealed_at_us     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX ledger_chains_unsealed ON ledger_chains (sealed_at_us) WHERE last_number > sealed_number;

-- Links that the operator has signed: what lies before one cannot be rewritten without its key.
CREATE TABLE ledger_checkpoints (
    customer_address TEXT NOT NULL CHECK (length(customer_address) = 42),
    number           BIGINT NOT NULL CHECK (number > 0),
    statement        TEXT NOT NULL,                      -- the JSON text that was signed
    signature        TEXT NOT NULL CHECK (length(signature) = 130), -- EIP-191: r, s, v
    PRIMARY KEY (customer_address, number)
);
