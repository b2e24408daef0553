package loyalty_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services/loyalty"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
)

func TestAuditFindsCookedBooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, tamper, finding string }{
		{"points from nowhere", `UPDATE accounts SET balance = balance + 1 WHERE customer_id = 'c-1005'`, "postings: c-1005"},
		{"posting lost", `DELETE FROM postings WHERE kind = 'hold'`, "postings: c-1001"},
		{"posting changed", `UPDATE postings SET points = points - 1 WHERE kind = 'award'`, "postings: c-1001"},
		{"hold forgotten", `UPDATE holds SET state = 'released'`, "held and not released"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDB(t, "loyalty", loyalty.Migrations, func(t *testing.T, db *store.DB) {
				svc := loyalty.New(db)
				p := program{t: t, base: servicetest.Routes(t, svc)}
				p.hold("o1:HoldPoints", "c-1001", 10)
				p.award("o2:AwardPoints", "c-1001", "", 1000)
				report, err := svc.Audit(t.Context())
				require.NoError(t, err)
				require.True(t, report.Balanced, "%v", report.Findings)

				servicetest.Finds(t, db, svc, tt.tamper, tt.finding)
			})
		})
	}
}
