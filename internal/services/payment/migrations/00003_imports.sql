-- +goose Up
-- The catalogs that were imported, one row for each import that changed something here.
CREATE TABLE imports (
    digest      TEXT NOT NULL,   -- SHA-256 of the catalog, in hex
    imported_at BIGINT NOT NULL, -- Unix milliseconds
    imported_by TEXT NOT NULL,
    added       BIGINT NOT NULL,
    changed     BIGINT NOT NULL,
    PRIMARY KEY (digest, imported_at)
);

-- +goose Down
DROP TABLE imports;
