-- What waits for people. Spelled so that SQLite and PostgreSQL both read it. Times are milliseconds since 1970.

CREATE TABLE approval (
    id          TEXT   NOT NULL PRIMARY KEY,
    -- SHA-256 of the call, in hex: whoever asks for the same again joins.
    call        TEXT   NOT NULL,
    sealed      TEXT   NOT NULL,
    -- Of the policy that wanted people to agree.
    policy      TEXT   NOT NULL,
    -- How many people, and whether the person at the keyboard.
    approvals   BIGINT NOT NULL,
    confirm     BIGINT NOT NULL,
    state       TEXT   NOT NULL,
    -- Why it ended, in a person's or our words.
    note        TEXT   NOT NULL,
    asked_at    BIGINT NOT NULL,
    approve_by  BIGINT NOT NULL,
    -- Until when it may be carried out.
    until       BIGINT NOT NULL,
    -- How long after the last agreement it may be carried out.
    execute_within BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL,
    -- Whether the log knows of an end that time brought.
    told        BIGINT NOT NULL DEFAULT 0,
    -- The log under which it is being carried out, and until when its end is waited for.
    holder      TEXT   NOT NULL DEFAULT '',
    held_until  BIGINT NOT NULL DEFAULT 0
);

-- One open request for one call.
CREATE UNIQUE INDEX approval_open ON approval (call) WHERE state IN ('pending', 'approved');
CREATE INDEX approval_listed ON approval (state, asked_at);
-- What time has to end, without a look at everything that waits.
CREATE INDEX approval_unanswered ON approval (approve_by) WHERE state = 'pending';
CREATE INDEX approval_unused ON approval (until) WHERE state = 'approved';
CREATE INDEX approval_held ON approval (held_until) WHERE state = 'reserved';
CREATE INDEX approval_untold ON approval (state, changed_at) WHERE told = 0;

CREATE TABLE vote (
    approval   TEXT   NOT NULL,
    -- Folded, so that names that look equal are one person.
    person     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    -- Whom the issuer means: one person has one subject, whatever names they go by.
    issuer     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    channel    TEXT   NOT NULL,
    assurance  TEXT   NOT NULL,
    comment    TEXT   NOT NULL,
    voted_at   BIGINT NOT NULL,
    PRIMARY KEY (approval, person, kind)
);
CREATE UNIQUE INDEX vote_subject ON vote (approval, issuer, subject, kind);
CREATE INDEX vote_by ON vote (person, voted_at);

-- Orders to change nothing.
CREATE TABLE stop (
    id         TEXT   NOT NULL PRIMARY KEY,
    scope      TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    person     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    stopped_at BIGINT NOT NULL,
    resumed_by TEXT,
    resumed_at BIGINT
);

-- Who is changing what right now.
CREATE TABLE lease (
    target TEXT   NOT NULL PRIMARY KEY,
    holder TEXT   NOT NULL,
    token  TEXT   NOT NULL,
    -- The log under which its holder acts.
    log    TEXT   NOT NULL,
    until  BIGINT NOT NULL
);
CREATE INDEX lease_token ON lease (token);

-- Calls by the minute in which they were reserved.
CREATE TABLE usage (
    caller  TEXT   NOT NULL,
    tool    TEXT   NOT NULL,
    effect  TEXT   NOT NULL,
    minute  BIGINT NOT NULL,
    calls   BIGINT NOT NULL,
    PRIMARY KEY (caller, tool, effect, minute)
);
-- Written first by whoever counts, so that two calls of one caller, or approvals of one person, count one after the other.
CREATE TABLE counted (
    caller TEXT   NOT NULL PRIMARY KEY,
    turn   BIGINT NOT NULL
);

-- Secrets that all replicas share, made by whoever comes first.
CREATE TABLE secret (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
