-- +goose Up
INSERT INTO cards (token, currency, credit_limit, declines_capture, declines_refund) VALUES
    ('tok_visa', 'EUR', 1000000000, 0, 0),
    ('tok_mastercard', 'EUR', 1000000000, 0, 0),
    ('tok_declined', 'EUR', 0, 0, 0),
    ('tok_blocked_later', 'EUR', 1000000000, 1, 0),
    ('tok_closed_later', 'EUR', 1000000000, 0, 1);

-- +goose Down
DELETE FROM cards WHERE token IN ('tok_visa', 'tok_mastercard', 'tok_declined', 'tok_blocked_later', 'tok_closed_later');
