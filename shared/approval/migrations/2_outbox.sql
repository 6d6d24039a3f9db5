-- What people are to hear of, one row for each of those who are told. Gone once delivered.
CREATE TABLE outbox (
    -- The same in every attempt, so that whoever hears twice can tell.
    id          TEXT   NOT NULL PRIMARY KEY,
    destination TEXT   NOT NULL,
    notice      TEXT   NOT NULL,
    -- due, or given_up.
    state       TEXT   NOT NULL,
    put_at      BIGINT NOT NULL,
    -- When it may be sent next. Whoever takes it moves this on, by as long as they have to say how it went.
    due_at      BIGINT NOT NULL,
    attempts    BIGINT NOT NULL,
    -- Why the last attempt failed.
    problem     TEXT   NOT NULL
);
CREATE INDEX outbox_due ON outbox (destination, state, due_at);
