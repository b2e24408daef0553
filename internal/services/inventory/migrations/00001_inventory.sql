-- +goose Up
CREATE TABLE warehouses (
    warehouse     TEXT PRIMARY KEY,
    takes_returns INTEGER NOT NULL CHECK (takes_returns IN (0, 1))
);

-- on_hand can be reserved; reserved waits for its reservation to be committed or released.
CREATE TABLE stock (
    sku       TEXT NOT NULL,
    warehouse TEXT NOT NULL REFERENCES warehouses (warehouse),
    on_hand   BIGINT NOT NULL CHECK (on_hand >= 0),
    reserved  BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    PRIMARY KEY (sku, warehouse)
);

CREATE TABLE receipts (
    receipt_id TEXT PRIMARY KEY,
    sku        TEXT NOT NULL,
    warehouse  TEXT NOT NULL,
    quantity   BIGINT NOT NULL CHECK (quantity > 0),
    FOREIGN KEY (sku, warehouse) REFERENCES stock (sku, warehouse)
);

CREATE TABLE reservations (
    reservation_id TEXT PRIMARY KEY,
    warehouse      TEXT NOT NULL REFERENCES warehouses (warehouse),
    state          TEXT NOT NULL CHECK (state IN ('open', 'released', 'committed')),
    reserved_at    BIGINT NOT NULL
);

CREATE TABLE reservation_lines (
    reservation_id TEXT NOT NULL REFERENCES reservations (reservation_id),
    sku            TEXT NOT NULL,
    quantity       BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (reservation_id, sku)
);

CREATE TABLE inspections (
    inspection_id      TEXT PRIMARY KEY,
    return_shipment_id TEXT NOT NULL,
    warehouse          TEXT NOT NULL REFERENCES warehouses (warehouse),
    state              TEXT NOT NULL CHECK (state IN ('open', 'withdrawn', 'restocked')),
    inspected_at       BIGINT NOT NULL
);

-- Goods of one return shipment are inspected once, unless the inspection is withdrawn.
CREATE UNIQUE INDEX inspections_standing ON inspections (return_shipment_id) WHERE state <> 'withdrawn';

CREATE TABLE inspection_lines (
    inspection_id TEXT NOT NULL REFERENCES inspections (inspection_id),
    sku           TEXT NOT NULL,
    quantity      BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (inspection_id, sku)
);

-- +goose Down
DROP TABLE inspection_lines;
DROP TABLE inspections;
DROP TABLE reservation_lines;
DROP TABLE reservations;
DROP TABLE receipts;
DROP TABLE stock;
DROP TABLE warehouses;
