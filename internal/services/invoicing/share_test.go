package invoicing

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/amends-dev/amends/internal/services/wire"
)

// Whatever comes back in whatever order, and whichever approvals are withdrawn in between: what
// stands is never more than was paid, and all of it once everything came back.
func TestRefundsAddUpToWhatWasPaid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var inv invoice
		for i := range rapid.IntRange(1, 4).Draw(t, "lines") {
			l := invoiceLine{
				sku:      fmt.Sprintf("SKU-%d", i),
				quantity: rapid.Int64Range(1, 5).Draw(t, "quantity"),
				amount:   rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64Range(0, maxTotal/4)).Draw(t, "amount"),
			}
			inv.lines = append(inv.lines, l)
			inv.total += l.amount
		}
		inv.paid = rapid.Int64Range(0, inv.total).Draw(t, "paid")
		inv.pointsAwarded = rapid.Int64Range(0, 1<<62).Draw(t, "points")

		var standing []approved
		for range rapid.IntRange(0, 12).Draw(t, "moves") {
			if len(standing) > 0 && rapid.Bool().Draw(t, "withdraw") {
				i := rapid.IntRange(0, len(standing)-1).Draw(t, "which")
				inv.move(standing[i], -1)
				standing = append(standing[:i], standing[i+1:]...)
				continue
			}
			sku := rapid.SampledFrom(inv.lines).Draw(t, "line")
			if left := sku.quantity - index(inv.lines)[sku.sku].returned; left > 0 {
				quantity := rapid.Int64Range(1, left).Draw(t, "pieces")
				standing = append(standing, inv.approve(t, []wire.Line{{SKU: sku.sku, Quantity: quantity}}))
			}
		}
		rest, err := choose(inv.lines, ReturnRequest{})
		if err == nil {
			inv.approve(t, rest)
		}
		require.Equal(t, inv.paid, inv.refundApproved)
		require.Equal(t, inv.pointsAwarded, inv.pointsApproved)
	})
}

// approved is an approval as the test keeps it.
type approved struct {
	lines          []wire.Line
	refund, points int64
}

// approve does to inv what approving does to its rows.
func (inv *invoice) approve(t *rapid.T, lines []wire.Line) approved {
	a := approved{lines: lines}
	a.refund, a.points = inv.worth(lines)
	require.GreaterOrEqual(t, a.refund, int64(0))
	require.GreaterOrEqual(t, a.points, int64(0))
	inv.move(a, 1)
	require.LessOrEqual(t, inv.refundApproved, inv.paid)
	require.LessOrEqual(t, inv.pointsApproved, inv.pointsAwarded)
	return a
}

func (inv *invoice) move(a approved, sign int64) {
	inv.refundApproved += sign * a.refund
	inv.pointsApproved += sign * a.points
	for _, l := range a.lines {
		for i := range inv.lines {
			if inv.lines[i].sku == l.SKU {
				inv.lines[i].returned += sign * l.Quantity
			}
		}
	}
}
