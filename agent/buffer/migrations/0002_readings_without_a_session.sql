-- Messages that belong to no session: readings of a meter at even times of the day.
CREATE TABLE outbox_new (
    destination TEXT NOT NULL,
    fact INTEGER NOT NULL REFERENCES fact (seq),
    session TEXT REFERENCES session (id),
    message_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('held', 'queued', 'confirmed', 'quarantined')),
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    text TEXT,
    settled_at TEXT,
    PRIMARY KEY (destination, fact)
) STRICT, WITHOUT ROWID;

INSERT INTO outbox_new (destination, fact, session, message_id, state, attempts, error, text, settled_at)
SELECT destination, fact, session, message_id, state, attempts, error, text, settled_at FROM outbox;

DROP TABLE outbox;

ALTER TABLE outbox_new RENAME TO outbox;

CREATE INDEX outbox_waiting ON outbox (destination, fact) WHERE state = 'queued';
