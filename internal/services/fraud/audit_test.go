package fraud_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services/fraud"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
)

func TestAuditFindsCookedBooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, tamper, finding string }{
		{"exposure of nobody", `UPDATE exposures SET amount = amount + 1`, "c-1, EUR"},
		{"order not counted", `UPDATE exposures SET screenings = screenings - 1`, "exposure is not the sum"},
		{"exposure lost", `DELETE FROM exposures`, "exposure is not the sum"},
		{"screening withdrawn, exposure left", `UPDATE screenings SET state = 'withdrawn'`, "exposure is not the sum"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDB(t, "fraud", fraud.Migrations, func(t *testing.T, db *store.DB) {
				svc := fraud.New(db)
				servicetest.Do[fraud.Judgment](t, servicetest.Routes(t, svc)+"/screenings", "o1:ScreenFraud", order("c-1", 100))
				report, err := svc.Audit(t.Context())
				require.NoError(t, err)
				require.True(t, report.Balanced, "%v", report.Findings)

				servicetest.Finds(t, db, svc, tt.tamper, tt.finding)
			})
		})
	}
}

// What is older than the window weighs no more, but is still under way and can be withdrawn.
func TestExposureAges(t *testing.T) {
	t.Parallel()
	servicetest.EachDB(t, "fraud", fraud.Migrations, func(t *testing.T, db *store.DB) {
		svc := fraud.New(db)
		screenings := servicetest.Routes(t, svc) + "/screenings"
		age := func(days int) {
			for _, table := range []string{"screenings", "exposures"} {
				_, err := db.ExecContext(t.Context(), `UPDATE `+table+` SET day = day - $1`, days)
				require.NoError(t, err)
			}
		}
		servicetest.Do[fraud.Judgment](t, screenings, "o1:ScreenFraud", order("c-watched", 99_899_999))
		age(29)
		servicetest.Refused(t, screenings, "o2:ScreenFraud", order("c-watched", 100_001), fraud.FraudSuspected)
		age(1)
		servicetest.Do[fraud.Judgment](t, screenings, "o2:ScreenFraud", order("c-watched", 100_001))
		servicetest.Undo(t, screenings, "o1:ScreenFraud")

		report, err := svc.Audit(t.Context())
		require.NoError(t, err)
		require.Empty(t, report.Findings)
		require.EqualValues(t, 100_001, report.Figures["standing_exposure"])
	})
}
