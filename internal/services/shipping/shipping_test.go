package shipping_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/shipping"
	"github.com/amends-dev/amends/internal/services/wire"
)

var lines = []wire.Line{{SKU: "TEA-SENCHA", Quantity: 2}, {SKU: "TEAPOT-IRON", Quantity: 1}}

func address(country string) wire.Address {
	return wire.Address{Name: "Ada Lovelace", Street: "Hauptstraße 1", PostalCode: "20095", City: "Hamburg", Country: country}
}

func shipment(carrier, country string) shipping.Shipment {
	return shipping.Shipment{Carrier: carrier, ShipTo: address(country), Lines: lines}
}

// desk is a shipping service under test.
type desk struct {
	t    *testing.T
	base string
}

func each(t *testing.T, run func(t *testing.T, d desk)) {
	t.Helper()
	servicetest.Each(t, "shipping", func(t *testing.T, base string) { run(t, desk{t: t, base: base}) })
}

func (d desk) book(key, carrier, country string) shipping.Booking {
	d.t.Helper()
	return servicetest.Do[shipping.Booking](d.t, d.base+"/shipments", key, shipment(carrier, country))
}

func (d desk) figures() map[string]int64 {
	d.t.Helper()
	return servicetest.Audit(d.t, d.base).Figures
}

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d desk) {
		numbered := func(n int) []wire.Line { return []wire.Line{{SKU: "TEA-SENCHA", Quantity: int64(n)}} }
		fencetest.Run(t, fencetest.Step{
			Name: "BookShipment", URL: d.base + "/shipments",
			Body: func(n int) any { return shipping.Shipment{ShipTo: address("DE"), Lines: numbered(n)} },
		})
		fencetest.Run(t, fencetest.Step{
			Name: "BookReturn", URL: d.base + "/returns",
			Body: func(n int) any { return shipping.Return{ShipFrom: address("DE"), Lines: numbered(n)} },
		})
		figures := d.figures()
		require.Zero(t, figures["open_shipments"])
		require.Zero(t, figures["standing_returns"])
		require.Zero(t, figures["used_parcel"])
		fencetest.Run(t, fencetest.Step{
			Name: "DispatchShipment", URL: d.base + "/dispatches", Irreversible: true,
			Body: func(n int) any {
				return shipping.Dispatch{ShipmentID: d.book(fmt.Sprintf("o%d:BookShipment", n), "", "DE").ShipmentID}
			},
		})
		d.figures()
	})
}

func TestCarrier(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d desk) {
		for i, tt := range []struct{ wanted, country, carrier string }{
			{"", "DE", "parcel"}, // bike is cheaper, but has no room
			{"", "US", "parcel"},
			{"parcel", "AT", "parcel"},
			{"express", "AT", "express"},
		} {
			got := d.book(fmt.Sprintf("o%d:BookShipment", i), tt.wanted, tt.country)
			require.Equal(t, tt.carrier, got.Carrier, tt)
			require.NotEmpty(t, got.ShipmentID)
			require.True(t, strings.HasPrefix(got.Tracking, strings.ToUpper(tt.carrier)+"-"), got.Tracking)
		}
		back := servicetest.Do[shipping.ReturnBooking](t, d.base+"/returns", "r1:BookReturn",
			shipping.Return{ShipFrom: address("FR"), Lines: lines})
		require.Equal(t, "parcel", back.Carrier)

		figures := d.figures()
		require.EqualValues(t, 4, figures["used_parcel"])
		require.EqualValues(t, 1, figures["used_express"])
		require.EqualValues(t, 4, figures["open_shipments"])
		require.EqualValues(t, 1, figures["standing_returns"])
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d desk) {
		canceled := d.book("o1:BookShipment", "", "DE").ShipmentID
		servicetest.Undo(t, d.base+"/shipments", "o1:BookShipment")
		dispatched := d.book("o2:BookShipment", "", "DE").ShipmentID
		servicetest.Do[shipping.Dispatched](t, d.base+"/dispatches", "o2:DispatchShipment", shipping.Dispatch{ShipmentID: dispatched})
		back := servicetest.Do[shipping.ReturnBooking](t, d.base+"/returns", "r1:BookReturn",
			shipping.Return{ShipFrom: address("DE"), Lines: lines})
		before := d.figures()

		for _, tt := range []struct {
			collection string
			body       any
			code       string
		}{
			{"/shipments", shipment("bike", "DE"), shipping.NoCapacity},
			{"/shipments", shipment("bike", "FR"), shipping.CountryNotServed},
			{"/shipments", shipment("express", "FR"), shipping.CountryNotServed},
			{"/shipments", shipment("", "JP"), shipping.CountryNotServed},
			{"/shipments", shipment("pigeon", "DE"), shipping.CarrierUnknown},
			{"/shipments", shipment("", "Germany"), wire.InvalidInput},
			{"/shipments", shipping.Shipment{ShipTo: address("DE")}, wire.InvalidInput},
			{"/returns", shipping.Return{ShipFrom: address("JP"), Lines: lines}, shipping.CountryNotServed},
			{"/returns", shipping.Return{ShipFrom: address("GB"), Lines: lines}, shipping.CountryNotServed},
			{"/returns", shipping.Return{ShipFrom: address("DE")}, wire.InvalidInput},
			{"/dispatches", shipping.Dispatch{ShipmentID: "shipment-none"}, shipping.ShipmentUnknown},
			{"/dispatches", shipping.Dispatch{ShipmentID: back.ReturnShipmentID}, shipping.ShipmentUnknown},
			{"/dispatches", shipping.Dispatch{ShipmentID: canceled}, shipping.ShipmentCanceled},
			{"/dispatches", shipping.Dispatch{ShipmentID: dispatched}, shipping.AlreadyDispatched},
			{"/dispatches", shipping.Dispatch{}, wire.InvalidInput},
		} {
			servicetest.Refused(t, d.base+tt.collection, "refused", tt.body, tt.code)
		}
		servicetest.Irreversible(t, d.base+"/shipments", "o2:BookShipment")
		require.Equal(t, before, d.figures(), "what was refused had no effect")
	})
}

func TestDispatchedKeepsItsRoom(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d desk) {
		booked := d.book("o1:BookShipment", "", "DE")
		got := servicetest.Do[shipping.Dispatched](t, d.base+"/dispatches", "o1:DispatchShipment",
			shipping.Dispatch{ShipmentID: booked.ShipmentID})
		require.Equal(t, booked.Tracking, got.Tracking)
		figures := d.figures()
		require.Zero(t, figures["open_shipments"])
		require.EqualValues(t, 1, figures["dispatched"])
		require.EqualValues(t, 1, figures["used_parcel"])
	})
}

// A dispatch and a cancellation of one shipment race: one of them wins.
func TestDispatchAndCancelRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d desk) {
		var dispatched int64
		for i := range 20 {
			saga := fmt.Sprintf("o%d", i)
			id := d.book(saga+":BookShipment", "", "DE").ShipmentID
			var went, canceled servicetest.Answer
			var wg sync.WaitGroup
			wg.Go(func() {
				went = servicetest.Call(t, http.MethodPut, servicetest.Resource(d.base+"/dispatches", saga+":DispatchShipment"),
					shipping.Dispatch{ShipmentID: id})
			})
			wg.Go(func() {
				canceled = servicetest.Call(t, http.MethodDelete, servicetest.Resource(d.base+"/shipments", saga+":BookShipment"), nil)
			})
			wg.Wait()
			switch went.Status {
			case http.StatusOK:
				dispatched++
				require.Equal(t, "irreversible", canceled.Code)
			default:
				require.Equal(t, shipping.ShipmentCanceled, went.Code)
				require.Equal(t, http.StatusNoContent, canceled.Status)
			}
		}
		figures := d.figures()
		require.Zero(t, figures["open_shipments"])
		require.Equal(t, dispatched, figures["used_parcel"])
	})
}
