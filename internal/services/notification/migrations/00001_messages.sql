-- +goose Up
-- What was sent. The mail itself is the file <message_id>.eml in the mail folder.
CREATE TABLE messages (
    message_id TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('message', 'reminder')),
    recipient  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    sent_at    BIGINT NOT NULL -- Unix milliseconds
);

-- +goose Down
DROP TABLE messages;
