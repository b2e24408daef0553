-- +goose Up
CREATE TABLE customers (
    customer_id TEXT PRIMARY KEY,
    standing    TEXT NOT NULL CHECK (standing IN ('watched', 'blocked'))
);

CREATE TABLE screenings (
    key         TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    email       TEXT NOT NULL,
    country     TEXT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount >= 0),
    currency    TEXT NOT NULL,
    verdict     TEXT NOT NULL CHECK (verdict IN ('accept', 'review')),
    score       BIGINT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'withdrawn')),
    screened_at BIGINT NOT NULL, -- Unix milliseconds
    day         BIGINT NOT NULL  -- days since 1970-01-01 UTC
);

-- One row per customer, currency and day: an answer reads as many rows as the window has days,
-- however much the customer orders.
CREATE TABLE exposures (
    customer_id TEXT NOT NULL,
    currency    TEXT NOT NULL,
    day         BIGINT NOT NULL,
    screenings  BIGINT NOT NULL CHECK (screenings >= 0),
    amount      BIGINT NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (customer_id, currency, day)
);

INSERT INTO customers (customer_id, standing) VALUES
    ('c-blocked', 'blocked'),
    ('c-watched', 'watched');

-- +goose Down
DROP TABLE exposures;
DROP TABLE screenings;
DROP TABLE customers;
