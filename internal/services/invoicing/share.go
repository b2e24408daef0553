package invoicing

import (
	"math/big"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/wire"
)

// choose answers which lines come back: those asked for, or all that is left.
func choose(lines []invoiceLine, in ReturnRequest) ([]wire.Line, error) {
	if len(in.Lines) == 0 {
		var all []wire.Line
		for _, l := range lines {
			if left := l.quantity - l.returned; left > 0 {
				all = append(all, wire.Line{SKU: l.sku, Quantity: left})
			}
		}
		if len(all) == 0 {
			return nil, fence.Refuse(NothingToReturn, "everything of order %s was returned", in.OrderID)
		}
		return all, nil
	}
	bySKU := index(lines)
	for _, want := range in.Lines {
		l, ordered := bySKU[want.SKU]
		switch {
		case !ordered || want.Quantity > l.quantity:
			return nil, fence.Refuse(NotOrdered, "order %s has %d of %s, not %d", in.OrderID, l.quantity, want.SKU, want.Quantity)
		case want.Quantity > l.quantity-l.returned:
			return nil, fence.Refuse(AlreadyReturned, "%d of %d of %s were returned, so %d cannot be",
				l.returned, l.quantity, want.SKU, want.Quantity)
		}
	}
	return in.Lines, nil
}

// worth is what to refund and how many points to take back for the returned lines: their share, or
// with the last goods of the order all that is left. Shares are rounded down, so approvals that stand
// never add up to more than was paid, whichever were withdrawn in between.
func (inv invoice) worth(returned []wire.Line) (refund, points int64) {
	if last(inv.lines, returned) {
		return inv.paid - inv.refundApproved, inv.pointsAwarded - inv.pointsApproved
	}
	return share(inv.paid, inv.total, inv.lines, returned), share(inv.pointsAwarded, inv.total, inv.lines, returned)
}

// last says whether nothing is left to return after returned.
func last(lines []invoiceLine, returned []wire.Line) bool {
	var ordered, back big.Int
	for _, l := range lines {
		ordered.Add(&ordered, big.NewInt(l.quantity-l.returned))
	}
	for _, l := range returned {
		back.Add(&back, big.NewInt(l.Quantity))
	}
	return ordered.Cmp(&back) == 0
}

// share is the part of whole that the returned lines have in total, rounded down. The value of a
// line is in proportion to its pieces and need not be a whole number. A total of 0 has no parts.
func share(whole, total int64, lines []invoiceLine, returned []wire.Line) int64 {
	if total == 0 {
		return 0
	}
	bySKU := index(lines)
	var value big.Rat
	for _, r := range returned {
		l := bySKU[r.SKU]
		part := new(big.Rat).SetFrac(big.NewInt(r.Quantity), big.NewInt(l.quantity))
		value.Add(&value, part.Mul(part, new(big.Rat).SetInt64(l.amount)))
	}
	value.Mul(&value, new(big.Rat).SetFrac(big.NewInt(whole), big.NewInt(total)))
	return new(big.Int).Quo(value.Num(), value.Denom()).Int64()
}

func index(lines []invoiceLine) map[string]invoiceLine {
	bySKU := make(map[string]invoiceLine, len(lines))
	for _, l := range lines {
		bySKU[l.sku] = l
	}
	return bySKU
}
