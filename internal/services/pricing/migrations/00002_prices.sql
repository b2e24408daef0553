-- +goose Up
INSERT INTO prices (sku, currency, unit_price) VALUES
    ('TEA-EARL-GREY', 'EUR', 650),
    ('TEA-SENCHA', 'EUR', 890),
    ('TEAPOT-IRON', 'EUR', 5900),
    ('KETTLE-COPPER', 'EUR', 129000),
    ('CUP-PORCELAIN', 'EUR', 1250),
    ('LIMITED-EDITION', 'EUR', 4500);

-- +goose Down
DELETE FROM prices;
