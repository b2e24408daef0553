package shipping

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/amends-dev/amends/internal/services/store"
)

// Carrier is a carrier that can be booked: the cheapest by Price, in the unit that all of them share, goes first.
// Capacity is the number of shipments it takes in all, including those booked.
type Carrier struct {
	Carrier         string
	Price, Capacity int64
}

// Country is a country that a carrier serves.
type Country struct {
	Carrier, Country string
	// Returns is set for a country where it fetches goods; otherwise it delivers there.
	Returns bool
}

// Import adds the carriers and their countries. Existing countries stay.
func Import(ctx context.Context, tx *sql.Tx, carriers []Carrier, countries []Country) (store.Imported, error) {
	var made store.Imported
	for _, c := range carriers {
		var used int64
		err := tx.QueryRowContext(ctx, `SELECT used FROM carriers WHERE carrier = $1`, c.Carrier).Scan(&used)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return made, fmt.Errorf("carrier %q: %w", c.Carrier, err)
		}
		if used > c.Capacity {
			return made, fmt.Errorf("carrier %q: a capacity of %d is less than the %d shipments that it has", c.Carrier, c.Capacity, used)
		}
		one, err := store.Put(ctx, tx, `INSERT INTO carriers (carrier, price, capacity) VALUES ($1, $2, $3)`,
			`UPDATE carriers SET price = $2, capacity = $3 WHERE carrier = $1 AND (price <> $2 OR capacity <> $3)`, c.Carrier, c.Price, c.Capacity)
		if err != nil {
			return made, fmt.Errorf("carrier %q: %w", c.Carrier, err)
		}
		made.Add(one)
	}
	for _, c := range countries {
		one, err := c.put(ctx, tx)
		if err != nil {
			return made, fmt.Errorf("carrier %q in %s: %w", c.Carrier, c.Country, err)
		}
		made.Add(one)
	}
	return made, nil
}

func (c Country) put(ctx context.Context, tx *sql.Tx) (store.Imported, error) {
	var known bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM carriers WHERE carrier = $1)`, c.Carrier).Scan(&known); err != nil {
		return store.Imported{}, err
	}
	if !known {
		return store.Imported{}, errors.New("there is no such carrier: name it among the carriers")
	}
	direction := "outbound"
	if c.Returns {
		direction = "return"
	}
	added, err := store.Changed(ctx, tx, `INSERT INTO served_countries (carrier, country, direction) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		c.Carrier, c.Country, direction)
	if added {
		return store.Imported{Added: 1}, err
	}
	return store.Imported{Same: 1}, err
}
