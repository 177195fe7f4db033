-- Where statements go by themselves, and from when on (an Instant as JSON): months that had ended before do not.
CREATE TABLE statement_recipient (
    name TEXT PRIMARY KEY,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A month's statement on its way to one recipient (docs/adr/0022). edition: 0 of a month in progress, 1 of the month that
-- has ended, more with each correction; turn: how often it was asked for again by hand; figures: fingerprint of what was
-- made last; done: what has arrived, a JSON list; settled: what arrived changes no more; tried: when last (UTC).
CREATE TABLE statement_delivery (
    name TEXT NOT NULL,
    month TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'completed')),
    edition INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    figures TEXT NOT NULL,
    done TEXT NOT NULL CHECK (json_valid(done)),
    settled INTEGER NOT NULL CHECK (settled IN (0, 1)),
    attempts INTEGER NOT NULL,
    error TEXT,
    tried TEXT,
    PRIMARY KEY (name, month)
) STRICT, WITHOUT ROWID;
