-- +goose Up
-- Why a key was undone, as the saga said it: fence.SchemaReason.
ALTER TABLE step_ledger ADD COLUMN undo_reason TEXT;

-- +goose Down
ALTER TABLE step_ledger DROP COLUMN undo_reason;
