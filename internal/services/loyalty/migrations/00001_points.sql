-- +goose Up
-- The balance is what a customer can spend: points on hold are out of it.
CREATE TABLE accounts (
    customer_id TEXT PRIMARY KEY,
    balance     BIGINT NOT NULL CHECK (balance >= 0)
);

CREATE TABLE holds (
    hold_id     TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES accounts (customer_id),
    points      BIGINT NOT NULL CHECK (points > 0),
    currency    TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'released', 'spent'))
);

-- Every change of a balance. An account's postings sum to its balance.
CREATE TABLE postings (
    kind        TEXT NOT NULL CHECK (kind IN ('opening', 'hold', 'release', 'award', 'takeback')),
    key         TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES accounts (customer_id),
    points      BIGINT NOT NULL,
    posted_at   BIGINT NOT NULL, -- Unix milliseconds
    PRIMARY KEY (kind, key)
);

INSERT INTO accounts (customer_id, balance) VALUES
    ('c-1001', 1000000), ('c-1002', 1000000), ('c-1003', 1000000),
    ('c-1004', 1000000), ('c-1005', 1000000), ('c-1006', 1000000),
    ('c-1007', 1000000), ('c-1008', 1000000), ('c-1009', 1000000);

INSERT INTO postings (kind, key, customer_id, points, posted_at)
SELECT 'opening', customer_id, customer_id, balance, 1735689600000 FROM accounts;

-- +goose Down
DROP TABLE postings;
DROP TABLE holds;
DROP TABLE accounts;
