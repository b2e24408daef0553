-- +goose Up
-- What an address may have beside its street, postal code and city; empty for none.
ALTER TABLE shipments ADD COLUMN company TEXT NOT NULL DEFAULT '';
ALTER TABLE shipments ADD COLUMN street2 TEXT NOT NULL DEFAULT '';
ALTER TABLE shipments ADD COLUMN region TEXT NOT NULL DEFAULT '';
ALTER TABLE shipments ADD COLUMN phone TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE shipments DROP COLUMN phone;
ALTER TABLE shipments DROP COLUMN region;
ALTER TABLE shipments DROP COLUMN street2;
ALTER TABLE shipments DROP COLUMN company;
