-- +goose Up
-- Amounts are minor units. What a card owes is open_amount (authorized, not captured) and
-- captured_amount (captured, less what was refunded); together they stay within its limit.
CREATE TABLE cards (
    token            TEXT PRIMARY KEY,
    currency         TEXT NOT NULL,
    credit_limit     BIGINT NOT NULL CHECK (credit_limit >= 0),
    open_amount      BIGINT NOT NULL DEFAULT 0 CHECK (open_amount >= 0),
    captured_amount  BIGINT NOT NULL DEFAULT 0 CHECK (captured_amount >= 0),
    declines_capture INTEGER NOT NULL DEFAULT 0 CHECK (declines_capture IN (0, 1)),
    declines_refund  INTEGER NOT NULL DEFAULT 0 CHECK (declines_refund IN (0, 1)),
    CHECK (open_amount + captured_amount <= credit_limit)
);

CREATE TABLE authorizations (
    authorization_id TEXT PRIMARY KEY,
    token            TEXT NOT NULL REFERENCES cards (token),
    amount           BIGINT NOT NULL CHECK (amount >= 0),
    currency         TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('open', 'captured', 'void')),
    authorized_at    BIGINT NOT NULL
);

CREATE TABLE captures (
    capture_id       TEXT PRIMARY KEY,
    authorization_id TEXT NOT NULL UNIQUE REFERENCES authorizations (authorization_id),
    token            TEXT NOT NULL REFERENCES cards (token),
    amount           BIGINT NOT NULL CHECK (amount >= 0),
    currency         TEXT NOT NULL,
    refunded         BIGINT NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= amount),
    captured_at      BIGINT NOT NULL
);

CREATE TABLE refunds (
    refund_id   TEXT PRIMARY KEY,
    capture_id  TEXT NOT NULL REFERENCES captures (capture_id),
    amount      BIGINT NOT NULL CHECK (amount >= 0),
    currency    TEXT NOT NULL,
    refunded_at BIGINT NOT NULL
);

CREATE INDEX refunds_capture ON refunds (capture_id);

-- The lines of one posting have debits and credits of the same sum.
CREATE TABLE journal (
    posting   TEXT NOT NULL,
    line      INTEGER NOT NULL,
    account   TEXT NOT NULL,
    currency  TEXT NOT NULL,
    debit     BIGINT NOT NULL CHECK (debit >= 0),
    credit    BIGINT NOT NULL CHECK (credit >= 0),
    posted_at BIGINT NOT NULL,
    PRIMARY KEY (posting, line),
    CHECK ((debit = 0) <> (credit = 0))
);

-- +goose Down
DROP TABLE journal;
DROP TABLE refunds;
DROP TABLE captures;
DROP TABLE authorizations;
DROP TABLE cards;
