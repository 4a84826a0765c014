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
    stood_still_us  INTEGER NOT NULL DEFAULT 0 CHECK (stood_still_us >= 0), -- all its pauses that have ended, added up
    wants_signatures INTEGER NOT NULL DEFAULT 0 CHECK (wants_signatures IN (0, 1)), -- learnt: messages need OCN-Signature
    CHECK ((paused_since_us IS NULL) = (probe_at_us IS NULL))
) STRICT;

-- An accepted request as the customer said it, once however many are owed it. Never Authorization.
CREATE TABLE envelopes (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    recorded_at_us   INTEGER NOT NULL,
    customer         TEXT NOT NULL,                      -- DE*CPO, registry spelling
    customer_address TEXT NOT NULL CHECK (length(customer_address) = 42),
    method           TEXT NOT NULL,
    module           TEXT NOT NULL,
    interface_role   TEXT NOT NULL CHECK (interface_role IN ('sender', 'receiver')),
    kind             TEXT NOT NULL,
    version          TEXT NOT NULL,                      -- of OCPI, as in the path
    segments         TEXT NOT NULL CHECK (json_valid(segments)),
    url_path         TEXT,
    sender           TEXT NOT NULL,
    receiver         TEXT NOT NULL,
    request_id       TEXT NOT NULL,
    correlation_id   TEXT NOT NULL,
    -- The payload, erased together: all three are NULL afterwards.
    body             BLOB,
    query            TEXT CHECK (query IS NULL OR json_valid(query)),  -- [[name, value], …] as received
    ocn_signature    TEXT,
    CHECK ((body IS NULL) = (query IS NULL) AND (body IS NOT NULL OR ocn_signature IS NULL))
) STRICT;
CREATE INDEX envelopes_by_correlation ON envelopes (correlation_id);

-- The lines in which order is kept, ONE ROW PER LANE. A lane offers its oldest pending delivery, its head; what waits
-- behind it is not looked at. Finding the next thing to do therefore costs the same behind a million waiting rows.
CREATE TABLE lanes (
    id               INTEGER PRIMARY KEY,
    key              TEXT NOT NULL UNIQUE,               -- the five parts, each length-prefixed
    provider_id      INTEGER NOT NULL REFERENCES providers (id),
    customer_address TEXT NOT NULL,
    module           TEXT NOT NULL,
    owner            TEXT NOT NULL,                      -- DE*CPO of the path, '' where it has none
    object_id        TEXT NOT NULL,
    head_id          INTEGER REFERENCES deliveries (id), -- oldest pending; NULL: nothing is owed
    due_at_us        INTEGER,                            -- of the head
    resting_until_us INTEGER NOT NULL DEFAULT 0,         -- an unanswered attempt may still be under way at the node
    in_flight        INTEGER NOT NULL DEFAULT 0 CHECK (in_flight IN (0, 1)),
    wait             TEXT CHECK (wait IN ('held', 'paused')), -- why the head waits for more than time
    waiting_since_us INTEGER,                            -- for as long as it does, windows stand still
    stood_still_us   INTEGER NOT NULL DEFAULT 0 CHECK (stood_still_us >= 0), -- all such waits that have ended, added up
    newest_id        INTEGER REFERENCES deliveries (id), -- newest ever recorded: repetitions are compared with it
    CHECK ((head_id IS NULL) = (due_at_us IS NULL)),
    CHECK ((wait IS NULL) = (waiting_since_us IS NULL)),
    CHECK (in_flight = 0 OR head_id IS NOT NULL)
) STRICT;
CREATE INDEX lanes_due ON lanes (provider_id, due_at_us, head_id) WHERE due_at_us IS NOT NULL AND in_flight = 0;
CREATE INDEX lanes_in_flight ON lanes (provider_id) WHERE in_flight = 1;

-- What is owed to one provider of one envelope. Ids grow in the order of commits.
CREATE TABLE deliveries (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    envelope_id      INTEGER NOT NULL REFERENCES envelopes (id),
    lane_id          INTEGER NOT NULL REFERENCES lanes (id),
    provider         TEXT NOT NULL,                      -- DE*PAY, registry spelling when it was planned
    agreement        TEXT NOT NULL,                      -- 0x…:3, the grant it was planned under
    scope            TEXT NOT NULL,                      -- sessions/receiver: what the agreement must cover
    state            TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'unconfirmed', 'refused', 'superseded',
                                                    'withdrawn', 'expired', 'parked')),
    recorded_at_us   INTEGER NOT NULL,
    next_attempt_at_us INTEGER NOT NULL,
    -- The end of its window, less what lane and provider had stood still when it was recorded. What they have stood
    -- still by now, added to it, is the end: a pause of a provider moves a million windows by one row.
    expires_base_us  INTEGER NOT NULL,
    ended_at_us      INTEGER,                            -- NULL while pending
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- that were started
    reason           TEXT,                               -- why it is where it is, in words
    content_digest   BLOB NOT NULL,                      -- of method, URL and body: repetitions have the same
    payload_until_us INTEGER CHECK (payload_until_us >= 0), -- NULL: needed as long as it is pending; 0: not needed
    CHECK ((state = 'pending') = (ended_at_us IS NULL)),
    CHECK ((state = 'pending') = (payload_until_us IS NULL))
) STRICT;
CREATE INDEX deliveries_by_content ON deliveries (lane_id, content_digest);
CREATE INDEX deliveries_by_envelope ON deliveries (envelope_id);
CREATE INDEX deliveries_pending ON deliveries (lane_id, id) WHERE state = 'pending';
CREATE INDEX deliveries_owed ON deliveries (agreement, scope, lane_id) WHERE state = 'pending';
CREATE INDEX deliveries_keeping ON deliveries (payload_until_us) WHERE payload_until_us > 0;

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

-- Requests that repeated what was already recorded in their lane: noted, not sent.
CREATE TABLE duplicates (
    delivery_id    INTEGER NOT NULL REFERENCES deliveries (id), -- what they repeat
    noted_at_us    INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    receiver       TEXT NOT NULL                         -- whom the customer said it to this time
) STRICT;
CREATE INDEX duplicates_by_delivery ON duplicates (delivery_id);
CREATE INDEX duplicates_by_correlation ON duplicates (correlation_id);
