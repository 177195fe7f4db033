-- What is looked up among years of history without reading it: sessions by the time of their end, as it was stamped and
-- as the start of the machine counted it (selection.py), and the few messages that wait for a company or were given up.
CREATE INDEX fact_ended ON fact (wall) WHERE kind = 'session-ended';

CREATE INDEX fact_ended_in_boot ON fact (boot, mono) WHERE kind = 'session-ended';

CREATE INDEX outbox_held ON outbox (destination, fact) WHERE state = 'held';

CREATE INDEX outbox_given_up ON outbox (destination, fact) WHERE state = 'quarantined';
