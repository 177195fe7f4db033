-- The evidence of closed sessions: a chain of records that is only ever added to (docs/evidence.md).
-- json: the exact bytes that were hashed and signed; the other columns repeat what is in them, to look it up.
CREATE TABLE record (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    session TEXT,
    hash TEXT NOT NULL,
    signature TEXT NOT NULL,
    json TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX record_of_session ON record (session) WHERE kind = 'session';

CREATE INDEX record_by_session ON record (session, number) WHERE session IS NOT NULL;

-- The newest record. filed: the number that the file beside the ledger was known to have when this was written.
CREATE TABLE chain (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    number INTEGER NOT NULL,
    hash TEXT NOT NULL,
    filed INTEGER NOT NULL
) STRICT;

-- Sessions that get another record by themselves: late ones have none yet, the times of others may still become known.
CREATE TABLE record_due (
    session TEXT PRIMARY KEY,
    why TEXT NOT NULL CHECK (why IN ('late', 'times'))
) STRICT, WITHOUT ROWID;

-- What a meter signed itself, byte for byte. place: 0 for the beginning of the session, then in order.
CREATE TABLE signed_reading (
    session TEXT NOT NULL REFERENCES session (id),
    place INTEGER NOT NULL,
    format TEXT NOT NULL,
    text BLOB NOT NULL,
    PRIMARY KEY (session, place)
) STRICT, WITHOUT ROWID;

INSERT INTO record_due (session, why) SELECT id, 'late' FROM session WHERE end_fact IS NOT NULL;
