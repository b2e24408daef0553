-- +goose Up
CREATE TABLE carriers (
    carrier  TEXT PRIMARY KEY,
    price    BIGINT NOT NULL, -- what a shipment costs the shop, in euro cents
    capacity BIGINT NOT NULL CHECK (capacity >= 0),
    used     BIGINT NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND capacity)
);

-- Not every country that a carrier delivers to is one that it fetches returns from.
CREATE TABLE served_countries (
    carrier   TEXT NOT NULL REFERENCES carriers (carrier),
    country   TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('outbound', 'return')),
    PRIMARY KEY (carrier, country, direction)
);

-- The address is where an outbound shipment goes and where a return is fetched.
CREATE TABLE shipments (
    shipment_id TEXT PRIMARY KEY,
    direction   TEXT NOT NULL CHECK (direction IN ('outbound', 'return')),
    carrier     TEXT NOT NULL REFERENCES carriers (carrier),
    tracking    TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    street      TEXT NOT NULL,
    postal_code TEXT NOT NULL,
    city        TEXT NOT NULL,
    country     TEXT NOT NULL,
    lines       TEXT NOT NULL, -- JSON, as it stands on the packing list
    state       TEXT NOT NULL CHECK (state IN ('booked', 'dispatched', 'canceled')),
    booked_at   BIGINT NOT NULL -- Unix milliseconds
);

INSERT INTO carriers (carrier, price, capacity) VALUES
    ('bike', 290, 0),
    ('parcel', 490, 1000000),
    ('express', 1290, 1000000);

INSERT INTO served_countries (carrier, country, direction) VALUES
    ('bike', 'DE', 'outbound'),
    ('parcel', 'DE', 'outbound'), ('parcel', 'AT', 'outbound'), ('parcel', 'FR', 'outbound'),
    ('parcel', 'NL', 'outbound'), ('parcel', 'GB', 'outbound'), ('parcel', 'US', 'outbound'),
    ('parcel', 'DE', 'return'), ('parcel', 'AT', 'return'), ('parcel', 'FR', 'return'), ('parcel', 'NL', 'return'),
    ('express', 'DE', 'outbound'), ('express', 'AT', 'outbound'),
    ('express', 'DE', 'return'), ('express', 'AT', 'return');

-- +goose Down
DROP TABLE shipments;
DROP TABLE served_countries;
DROP TABLE carriers;
