-- Who approves alone for a while, and who looked at it afterwards. Times are milliseconds since 1970; 0 is not yet.
CREATE TABLE break_glass (
    id          TEXT   NOT NULL PRIMARY KEY,
    scope       TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    -- Folded: whoever merely looks like the one who opened it does not review it.
    person      TEXT   NOT NULL,
    -- To the letter: nobody else approves by it.
    name        TEXT   NOT NULL,
    issuer      TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    opened_at   BIGINT NOT NULL,
    until       BIGINT NOT NULL,
    -- When it ended, by somebody's word or by time; and who ended it, nobody where time did.
    closed_at   BIGINT NOT NULL DEFAULT 0,
    closed_by   TEXT   NOT NULL DEFAULT '',
    -- Whether the log knows of an end that time brought.
    told        BIGINT NOT NULL DEFAULT 0,
    -- Written first by whoever approves by it, so that closing it waits for them, or they for that.
    uses        BIGINT NOT NULL DEFAULT 0,
    review_by   BIGINT NOT NULL,
    -- When people hear next that nobody has reviewed it.
    remind_at   BIGINT NOT NULL,
    reviewed_at BIGINT NOT NULL DEFAULT 0,
    reviewed_by TEXT   NOT NULL DEFAULT '',
    review      TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX break_glass_open ON break_glass (until) WHERE closed_at = 0;
CREATE INDEX break_glass_unreviewed ON break_glass (remind_at) WHERE reviewed_at = 0;
CREATE INDEX break_glass_by ON break_glass (person);

-- By which break-glass somebody agreed, if by any.
ALTER TABLE vote ADD COLUMN glass TEXT NOT NULL DEFAULT '';
CREATE INDEX vote_glass ON vote (glass) WHERE glass <> '';
