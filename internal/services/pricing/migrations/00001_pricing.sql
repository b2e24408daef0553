-- +goose Up
CREATE TABLE prices (
    sku        TEXT NOT NULL,
    currency   TEXT NOT NULL,
    unit_price BIGINT NOT NULL CHECK (unit_price > 0),
    PRIMARY KEY (sku, currency)
);

CREATE TABLE quotes (
    quote_key TEXT PRIMARY KEY,
    currency  TEXT NOT NULL,
    total     BIGINT NOT NULL CHECK (total > 0),
    state     TEXT NOT NULL CHECK (state IN ('open', 'withdrawn')),
    quoted_at BIGINT NOT NULL
);

CREATE TABLE quote_lines (
    quote_key  TEXT NOT NULL REFERENCES quotes (quote_key),
    sku        TEXT NOT NULL,
    quantity   BIGINT NOT NULL CHECK (quantity > 0),
    unit_price BIGINT NOT NULL CHECK (unit_price > 0),
    amount     BIGINT NOT NULL CHECK (amount > 0),
    PRIMARY KEY (quote_key, sku)
);

-- +goose Down
DROP TABLE quote_lines;
DROP TABLE quotes;
DROP TABLE prices;
