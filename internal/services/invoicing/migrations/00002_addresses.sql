-- +goose Up
-- What an address may have beside its street, postal code and city; empty for none.
ALTER TABLE invoices ADD COLUMN company TEXT NOT NULL DEFAULT '';
ALTER TABLE invoices ADD COLUMN street2 TEXT NOT NULL DEFAULT '';
ALTER TABLE invoices ADD COLUMN region TEXT NOT NULL DEFAULT '';
ALTER TABLE invoices ADD COLUMN phone TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE invoices DROP COLUMN phone;
ALTER TABLE invoices DROP COLUMN region;
ALTER TABLE invoices DROP COLUMN street2;
ALTER TABLE invoices DROP COLUMN company;
