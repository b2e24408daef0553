-- +goose Up
INSERT INTO warehouses (warehouse, takes_returns) VALUES ('hamburg', 1);

INSERT INTO stock (sku, warehouse, on_hand) VALUES
    ('TEA-EARL-GREY', 'hamburg', 1000000),
    ('TEA-SENCHA', 'hamburg', 1000000),
    ('TEAPOT-IRON', 'hamburg', 1000000),
    ('KETTLE-COPPER', 'hamburg', 1000000),
    ('CUP-PORCELAIN', 'hamburg', 1000000),
    ('LIMITED-EDITION', 'hamburg', 0);

INSERT INTO receipts (receipt_id, sku, warehouse, quantity)
SELECT 'opening-' || sku, sku, warehouse, on_hand FROM stock WHERE on_hand > 0;

-- +goose Down
DELETE FROM receipts;
DELETE FROM stock;
DELETE FROM warehouses;
