-- +goose Up
-- The last number given out. It changes in the transaction that uses the number, so none is lost.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

INSERT INTO counters (name, value) VALUES ('invoice', 0), ('credit_note', 0);

-- Amounts are minor units of the invoice's currency. The address is where the goods went.
CREATE TABLE invoices (
    order_id        TEXT PRIMARY KEY,
    number          BIGINT NOT NULL UNIQUE,
    customer_id     TEXT NOT NULL,
    customer_name   TEXT NOT NULL,
    customer_email  TEXT NOT NULL,
    currency        TEXT NOT NULL,
    total           BIGINT NOT NULL CHECK (total >= 0),
    paid            BIGINT NOT NULL CHECK (paid BETWEEN 0 AND total),
    capture_id      TEXT NOT NULL,
    points_awarded  BIGINT NOT NULL CHECK (points_awarded >= 0),
    name            TEXT NOT NULL,
    street          TEXT NOT NULL,
    postal_code     TEXT NOT NULL,
    city            TEXT NOT NULL,
    country         TEXT NOT NULL,
    issued_at       BIGINT NOT NULL, -- Unix milliseconds
    -- What the approvals that stand add up to.
    refund_approved BIGINT NOT NULL DEFAULT 0 CHECK (refund_approved BETWEEN 0 AND paid),
    points_approved BIGINT NOT NULL DEFAULT 0 CHECK (points_approved BETWEEN 0 AND points_awarded)
);

CREATE TABLE invoice_lines (
    order_id TEXT NOT NULL REFERENCES invoices (order_id),
    position BIGINT NOT NULL,
    sku      TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    amount   BIGINT NOT NULL CHECK (amount >= 0), -- of the whole line
    returned BIGINT NOT NULL DEFAULT 0 CHECK (returned BETWEEN 0 AND quantity),
    PRIMARY KEY (order_id, sku)
);

CREATE TABLE approvals (
    approval_id TEXT PRIMARY KEY,
    order_id    TEXT NOT NULL REFERENCES invoices (order_id),
    reason      TEXT NOT NULL,
    refund      BIGINT NOT NULL CHECK (refund >= 0),
    points      BIGINT NOT NULL CHECK (points >= 0),
    state       TEXT NOT NULL CHECK (state IN ('open', 'withdrawn', 'credited')),
    approved_at BIGINT NOT NULL -- Unix milliseconds
);

CREATE TABLE approval_lines (
    approval_id TEXT NOT NULL REFERENCES approvals (approval_id),
    sku         TEXT NOT NULL,
    quantity    BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (approval_id, sku)
);

CREATE TABLE credit_notes (
    approval_id TEXT PRIMARY KEY REFERENCES approvals (approval_id),
    number      BIGINT NOT NULL UNIQUE,
    refund_id   TEXT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount >= 0),
    issued_at   BIGINT NOT NULL -- Unix milliseconds
);

-- +goose Down
DROP TABLE credit_notes;
DROP TABLE approval_lines;
DROP TABLE approvals;
DROP TABLE invoice_lines;
DROP TABLE invoices;
DROP TABLE counters;
