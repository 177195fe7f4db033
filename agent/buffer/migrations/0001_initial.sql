-- Starts of the machine. Monotonic seconds count within one boot; its anchor is the first moment at which the wall clock
-- could be trusted. seen_mono: the last commit made while the wall clock was not known at all.
CREATE TABLE boot (
    number INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE,
    anchor_mono REAL,
    anchor_wall TEXT,
    seen_mono REAL
) STRICT;

-- Starts of the process; ended is null when it was not stopped in order. Moments are Instants as JSON.
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL REFERENCES boot (number),
    version TEXT NOT NULL,
    began TEXT NOT NULL,
    ended TEXT
) STRICT;

-- The station's durable state, one row per part that changes by itself.
CREATE TABLE slice (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    schema INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- What happened, in order, for good. Facts of the station itself have no session.
CREATE TABLE fact (
    seq INTEGER PRIMARY KEY,
    session TEXT,
    session_seq INTEGER,
    kind TEXT NOT NULL,
    schema INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    mono REAL NOT NULL,
    wall TEXT NOT NULL,
    json TEXT NOT NULL,
    UNIQUE (session, session_seq),
    CHECK ((session IS NULL) = (session_seq IS NULL))
) STRICT;

-- reporting: what the session may do now; a held one becomes report or local-only, the others never change.
CREATE TABLE session (
    id TEXT PRIMARY KEY,
    connector INTEGER NOT NULL,
    profile TEXT NOT NULL,
    reporting TEXT NOT NULL CHECK (reporting IN ('report', 'hold', 'local-only')),
    company_code TEXT,
    start_fact INTEGER NOT NULL UNIQUE REFERENCES fact (seq),
    end_fact INTEGER UNIQUE REFERENCES fact (seq),
    CHECK (profile <> 'private' OR reporting = 'local-only')
) STRICT, WITHOUT ROWID;

-- The destinations that were set up when a session began, and what each calls it (as JSON: a number or a text).
CREATE TABLE delivery (
    session TEXT NOT NULL REFERENCES session (id),
    destination TEXT NOT NULL,
    transaction_id TEXT,
    PRIMARY KEY (session, destination)
) STRICT, WITHOUT ROWID;

CREATE INDEX delivery_by_transaction ON delivery (destination, transaction_id) WHERE transaction_id IS NOT NULL;

-- One lane per destination, in the order of the facts. Confirmed starts and ends stay as evidence, samples do not.
-- text: the frame as first sent; settled_at: when it was confirmed or given up (UTC).
CREATE TABLE outbox (
    destination TEXT NOT NULL,
    fact INTEGER NOT NULL REFERENCES fact (seq),
    session TEXT NOT NULL REFERENCES session (id),
    message_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('held', 'queued', 'confirmed', 'quarantined')),
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    text TEXT,
    settled_at TEXT,
    PRIMARY KEY (destination, fact)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_waiting ON outbox (destination, fact) WHERE state = 'queued';
