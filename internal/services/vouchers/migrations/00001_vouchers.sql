-- +goose Up
CREATE TABLE vouchers (
    code        TEXT PRIMARY KEY,
    amount      BIGINT NOT NULL CHECK (amount > 0),
    currency    TEXT NOT NULL,
    valid_until BIGINT NOT NULL, -- Unix milliseconds
    used_by     TEXT             -- the key of the redemption that stands
);

CREATE TABLE redemptions (
    key         TEXT PRIMARY KEY,
    code        TEXT NOT NULL REFERENCES vouchers (code),
    customer_id TEXT NOT NULL,
    discount    BIGINT NOT NULL CHECK (discount >= 0),
    currency    TEXT NOT NULL,
    -- closed: of an order that was settled before these books began; it stands, and no saga can restore it.
    state       TEXT NOT NULL CHECK (state IN ('open', 'restored', 'closed')),
    redeemed_at BIGINT NOT NULL  -- Unix milliseconds
);

-- SPRING-0001 to SPRING-9999, valid to the end of 2099.
INSERT INTO vouchers (code, amount, currency, valid_until)
WITH RECURSIVE serial (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM serial WHERE n < 9999)
SELECT 'SPRING-' || substr(CAST(10000 + n AS TEXT), 2), 500, 'EUR', 4102444799000 FROM serial;

INSERT INTO vouchers (code, amount, currency, valid_until, used_by) VALUES
    ('SPRING-USED', 500, 'EUR', 4102444799000, 'opening:RedeemVoucher'),
    ('SPRING-EXPIRED', 500, 'EUR', 1577836800000, NULL);

INSERT INTO redemptions (key, code, customer_id, discount, currency, state, redeemed_at) VALUES
    ('opening:RedeemVoucher', 'SPRING-USED', 'c-1001', 500, 'EUR', 'closed', 1577836800000);

-- +goose Down
DROP TABLE redemptions;
DROP TABLE vouchers;
