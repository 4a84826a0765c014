-- The outbox: what was said, what is owed of it, and each try to deliver it.
-- Instants are whole microseconds since 1970-01-01 UTC, in columns that end in _us.

-- Facts about this store itself: which chain and contracts it was made for, and the like.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is owed copies, and its breaker: an unreachable provider is paused as a whole and probed with one delivery.
CREATE TABLE providers (
    id              INTEGER PRIMARY KEY,
    address         TEXT NOT NULL UNIQUE CHECK (length(address) = 42),
    party           TEXT NOT NULL,                       -- newest spelling, DE*PAY
    failures        INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0), -- in a row, without any answer from it
    paused_since_us INTEGER,                             -- NULL: not paused
    probe_at_us     INTEGER,                             -- when one delivery may try
    pause_reason    TEXT,
    wants_signatures INTEGER NOT NULL DEFAULT 0 CHECK (wants_signatures IN (0, 1)), -- learnt: messages need OCN-Signature
    CHECK ((paused_since_us IS NULL) = (probe_at_us IS NULL))
) STRICT;

-- One module of one provider. Paused on its own when the service is not set up for the module.
CREATE TABLE channels (
    id              INTEGER PRIMARY KEY,
    provider_id     INTEGER NOT NULL REFERENCES providers (id),
    module          TEXT NOT NULL,
    paused_since_us INTEGER,                             -- NULL: not paused for itself
    probe_at_us     INTEGER,
    pause_reason    TEXT,
    still_since_us  INTEGER,                             -- windows stand still since then: itself or its provider is paused
    stood_still_us  INTEGER NOT NULL DEFAULT 0 CHECK (stood_still_us >= 0), -- all such times that have ended, added up
    returned_at_us  INTEGER NOT NULL DEFAULT 0,          -- end of the last of them: what is older is collapsed
    UNIQUE (provider_id, module),
    CHECK ((paused_since_us IS NULL) = (probe_at_us IS NULL)),
    CHECK (paused_since_us IS NULL OR still_since_us IS NOT NULL)
) STRICT;

-- What consent is judged by: every delivery of one scope stands or falls together. Few, however much is owed.
CREATE TABLE scopes (
    id               INTEGER PRIMARY KEY,
    channel_id       INTEGER NOT NULL REFERENCES channels (id),
    customer_address TEXT NOT NULL CHECK (length(customer_address) = 42),
    provider         TEXT NOT NULL,                      -- DE*PAY, registry spelling when it was planned
    agreement        TEXT NOT NULL,                      -- 0x…:3, the grant it was planned under
    agreement_block  INTEGER NOT NULL CHECK (agreement_block >= 0), -- of that grant; 0: not known
    interface_role   TEXT NOT NULL CHECK (interface_role IN ('sender', 'receiver')),
    UNIQUE (channel_id, customer_address, agreement, interface_role, provider)
) STRICT;

-- How many deliveries a scope has in each state, so that nobody ever counts a million rows. Who records adds to it, the
-- triggers below do the rest.
CREATE TABLE tallies (
    scope_id INTEGER NOT NULL REFERENCES scopes (id),
    state    TEXT NOT NULL,
    n        INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (scope_id, state)
) STRICT, WITHOUT ROWID;

-- An accepted request as the customer said it, once however many are owed it. Never Authorization.
-- Its id is that of its first delivery; the others follow without a hole.
CREATE TABLE envelopes (
    id               INTEGER PRIMARY KEY,
    copies           INTEGER NOT NULL CHECK (copies > 0),  -- deliveries of it
    needed           INTEGER NOT NULL CHECK (needed >= 0), -- deliveries that need its payload; 0: erased
    recorded_at_us   INTEGER NOT NULL,
    customer         TEXT NOT NULL,                      -- DE*CPO, registry spelling
    customer_address TEXT NOT NULL CHECK (length(customer_address) = 42),
    method           TEXT NOT NULL,
    module           TEXT NOT NULL,
    interface_role   TEXT NOT NULL CHECK (interface_role IN ('sender', 'receiver')),
    kind             TEXT NOT NULL,
    version          TEXT NOT NULL,                      -- of OCPI, as in the path
    segments         TEXT NOT NULL,                      -- JSON list: the path after the module
    url_path         TEXT,
    sender           TEXT NOT NULL,
    receiver         TEXT NOT NULL,
    request_id       TEXT NOT NULL,
    correlation_id   TEXT NOT NULL,
    -- The payload, erased together: all three are NULL afterwards.
    body             BLOB,
    query            TEXT,                               -- JSON list of [name, value], as received
    ocn_signature    TEXT,
    CHECK ((body IS NULL) = (query IS NULL) AND (body IS NOT NULL OR ocn_signature IS NULL)),
    CHECK ((needed = 0) = (body IS NULL))
) STRICT;
CREATE INDEX envelopes_by_correlation ON envelopes (correlation_id);

-- The lines in which order is kept, ONE ROW PER LANE. A lane offers its oldest pending delivery, its head; what waits
-- behind it is not looked at. Finding the next thing to do therefore costs the same behind a million waiting rows.
-- Nothing before the head is pending.
CREATE TABLE lanes (
    id               INTEGER PRIMARY KEY,
    key              BLOB NOT NULL UNIQUE CHECK (length(key) = 16), -- digest of provider, customer, module, owner, object
    channel_id       INTEGER NOT NULL REFERENCES channels (id),
    customer_address TEXT NOT NULL,
    owner            TEXT NOT NULL,                      -- DE*CPO of the path, '' where it has none
    object_id        TEXT NOT NULL,
    head_id          INTEGER,                            -- delivery: oldest pending; NULL: nothing is owed
    due_at_us        INTEGER,                            -- of the head
    resting_until_us INTEGER NOT NULL DEFAULT 0,         -- an unanswered attempt may still be under way at the node
    in_flight        INTEGER NOT NULL DEFAULT 0 CHECK (in_flight IN (0, 1)),
    collapse         INTEGER NOT NULL DEFAULT 0 CHECK (collapse IN (0, 1)), -- what is pending is merged at the next claim
    held_since_us    INTEGER,                            -- the head waits for certainty, and windows stand still with it
    stood_still_us   INTEGER NOT NULL DEFAULT 0 CHECK (stood_still_us >= 0), -- all such waits that have ended, added up
    newest_id        INTEGER NOT NULL,                   -- newest ever recorded: repetitions are compared with it
    CHECK ((head_id IS NULL) = (due_at_us IS NULL)),
    CHECK (in_flight = 0 OR head_id IS NOT NULL),
    CHECK (held_since_us IS NULL OR head_id IS NOT NULL)
) STRICT;
CREATE INDEX lanes_due ON lanes (channel_id, due_at_us, head_id) WHERE due_at_us IS NOT NULL AND in_flight = 0;
CREATE INDEX lanes_in_flight ON lanes (channel_id) WHERE in_flight = 1;
CREATE INDEX lanes_held ON lanes (channel_id) WHERE held_since_us IS NOT NULL;

-- What is owed to one provider of one envelope. Ids grow in the order of commits.
CREATE TABLE deliveries (
    id               INTEGER PRIMARY KEY,
    envelope_id      INTEGER NOT NULL,
    lane_id          INTEGER NOT NULL REFERENCES lanes (id),
    scope_id         INTEGER NOT NULL,                   -- no foreign key: it would be checked without an index
    state            TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'unconfirmed', 'refused', 'superseded',
                                                    'withdrawn', 'expired', 'parked')),
    fleeting         INTEGER NOT NULL CHECK (fleeting IN (0, 1)), -- about a moment: its window never stands still
    recorded_at_us   INTEGER NOT NULL,
    next_attempt_at_us INTEGER NOT NULL,
    -- The end of its window, less what lane and channel had stood still when it was recorded. What they have stood
    -- still by now, added to it, is the end: a pause of a provider moves a million windows by a few rows.
    expires_base_us  INTEGER NOT NULL,
    ended_at_us      INTEGER,                            -- NULL while pending
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- that were started, for what it stands for
    in_doubt         INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)), -- an attempt may have been processed
    reason           TEXT,                               -- why it is where it is, in words
    content_digest   BLOB NOT NULL,                      -- of method, URL and body: repetitions have the same
    payload_until_us INTEGER CHECK (payload_until_us >= 0), -- NULL: needed as long as it is pending; 0: not needed
    forget_at_us     INTEGER,                            -- when this row goes; NULL while pending
    CHECK ((state = 'pending') = (ended_at_us IS NULL)),
    CHECK ((state = 'pending') = (payload_until_us IS NULL)),
    CHECK ((state = 'pending') = (forget_at_us IS NULL))
) STRICT;
CREATE INDEX deliveries_by_lane ON deliveries (lane_id, id);
CREATE INDEX deliveries_needed ON deliveries (scope_id, state, id) WHERE payload_until_us IS NOT 0;
CREATE INDEX deliveries_fleeting ON deliveries (expires_base_us) WHERE fleeting = 1 AND state = 'pending';
CREATE INDEX deliveries_keeping ON deliveries (payload_until_us) WHERE payload_until_us > 0;
CREATE INDEX deliveries_to_forget ON deliveries (forget_at_us) WHERE forget_at_us IS NOT NULL;

CREATE TRIGGER deliveries_moved AFTER UPDATE OF state ON deliveries WHEN OLD.state <> NEW.state BEGIN
    UPDATE tallies SET n = n - 1 WHERE scope_id = OLD.scope_id AND state = OLD.state;
    INSERT INTO tallies (scope_id, state, n) VALUES (NEW.scope_id, NEW.state, 1)
    ON CONFLICT (scope_id, state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER deliveries_forgotten AFTER DELETE ON deliveries BEGIN
    UPDATE tallies SET n = n - 1 WHERE scope_id = OLD.scope_id AND state = OLD.state;
END;

-- One try each. A row without an end was started and its outcome never written: the process died meanwhile.
CREATE TABLE attempts (
    delivery_id   INTEGER NOT NULL REFERENCES deliveries (id),
    number        INTEGER NOT NULL CHECK (number > 0),
    started_at_us INTEGER NOT NULL,
    ended_at_us   INTEGER CHECK (ended_at_us >= 0),
    verdict       TEXT CHECK (verdict IN ('accepted', 'unconfirmed', 'refused', 'setup', 'not_processed',
                                          'unknown_outcome')),
    http_status   INTEGER,
    ocpi_status   INTEGER,
    detail        TEXT NOT NULL DEFAULT '' CHECK (length(detail) <= 1024),
    PRIMARY KEY (delivery_id, number),
    CHECK ((ended_at_us IS NULL) = (verdict IS NULL))
) STRICT, WITHOUT ROWID;

-- A session as the customer has said it so far, for a lane that began with a PUT. A payload: erased when the session
-- has ended and was delivered, after silence, and when consent ends.
CREATE TABLE merged_sessions (
    lane_id       INTEGER PRIMARY KEY REFERENCES lanes (id),
    scope_id      INTEGER NOT NULL REFERENCES scopes (id), -- what was planned under anything else is not in it
    through_id    INTEGER NOT NULL,                      -- the newest delivery that is in it
    body          BLOB NOT NULL,
    changed_at_us INTEGER NOT NULL
) STRICT;
CREATE INDEX merged_sessions_by_scope ON merged_sessions (scope_id);
CREATE INDEX merged_sessions_by_change ON merged_sessions (changed_at_us);

-- What is sent in place of what the customer said, for a delivery that stands for others too. A payload as well.
CREATE TABLE collapsed (
    delivery_id INTEGER PRIMARY KEY REFERENCES deliveries (id),
    method      TEXT NOT NULL CHECK (method IN ('PUT', 'PATCH')),
    body        BLOB NOT NULL
) STRICT;

-- Requests that repeated what was already recorded in their lane: noted, not sent.
CREATE TABLE duplicates (
    delivery_id    INTEGER NOT NULL REFERENCES deliveries (id), -- what they repeat
    noted_at_us    INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    receiver       TEXT NOT NULL                         -- whom the customer said it to this time
) STRICT;
CREATE INDEX duplicates_by_delivery ON duplicates (delivery_id);
CREATE INDEX duplicates_by_correlation ON duplicates (correlation_id);

-- Requests of customers that were not copied, and why; bounded in number and age. No payload.
CREATE TABLE not_copied (
    id             INTEGER PRIMARY KEY,
    noted_at_us    INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    sender         TEXT NOT NULL,
    receiver       TEXT NOT NULL,
    module         TEXT NOT NULL,
    interface_role TEXT NOT NULL,
    method         TEXT NOT NULL,
    reason         TEXT NOT NULL                         -- as in not_copied_total{reason}
) STRICT;
CREATE INDEX not_copied_by_correlation ON not_copied (correlation_id);
