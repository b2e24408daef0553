package vouchers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/vouchers"
)

func TestAuditFindsCookedBooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, tamper, finding string }{
		{"used by nobody", `UPDATE vouchers SET used_by = 'o9' WHERE code = 'SPRING-0009'`, "round: SPRING-0009"},
		{"redeemed, but free", `UPDATE vouchers SET used_by = NULL WHERE code = 'SPRING-0001'`, "round: SPRING-0001"},
		{"redeemed twice", `INSERT INTO redemptions (key, code, customer_id, discount, currency, state, redeemed_at)
			VALUES ('o9', 'SPRING-0001', 'c-1', 1, 'EUR', 'open', 0)`, "round: SPRING-0001"},
		{"somebody else's", `UPDATE vouchers SET used_by = 'o9' WHERE code = 'SPRING-0001'`, "used by another than its redemption: SPRING-0001"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDB(t, "vouchers", vouchers.Migrations, func(t *testing.T, db *store.DB) {
				svc := vouchers.New(db)
				servicetest.Do[vouchers.Discount](t, servicetest.Routes(t, svc)+"/redemptions", "o1", redeem("SPRING-0001", 1, "EUR"))
				report, err := svc.Audit(t.Context())
				require.NoError(t, err)
				require.True(t, report.Balanced, "%v", report.Findings)

				servicetest.Finds(t, db, svc, tt.tamper, tt.finding)
			})
		})
	}
}
