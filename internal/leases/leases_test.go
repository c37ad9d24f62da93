package leases

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestGatewayReservesItsAssociationsAndTakesMoreForOperationsThatWait(t *testing.T) {
	inWorld(t, 6, 1, 100*time.Millisecond, func(t *testing.T, w *world) {
		g := w.gateway("a")
		time.Sleep(time.Second)
		assert.Equal(t, map[string]int{"a": 1}, w.holdings())
		stop := g.callers(20, false)
		time.Sleep(time.Second)
		assert.Equal(t, map[string]int{"a": 6}, w.holdings())
		assert.Equal(t, []Held{{PACS: "main", Reserved: 1, Leased: 5, Used: 6, Limit: 6}}, g.leases.Held())
		time.Sleep(time.Minute)
		answers, failed := stop()
		assert.Empty(t, failed)
		assert.InDelta(t, 6*10*61, answers, 60, "all associations are in use all the time")
		assert.Equal(t, 6, w.mostOpen())
		time.Sleep(20 * time.Second)
		assert.Equal(t, map[string]int{"a": 1}, w.holdings(), "slots that are not used are given back")
		g.stop()
		synctest.Wait()
		assert.Empty(t, w.holdings(), "a gateway that stops gives all back")
	})
}

func TestGatewaysShareTheAssociationsFairly(t *testing.T) {
	inWorld(t, 6, 1, 100*time.Millisecond, func(t *testing.T, w *world) {
		var sites []*site
		var stops []func() (int, []error)
		for i := range 3 {
			sites = append(sites, w.gateway(gatewayName(i)))
		}
		time.Sleep(time.Second)
		for _, g := range sites {
			stops = append(stops, g.callers(100, false))
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Second)
		assert.Equal(t, map[string]int{"gateway-0": 2, "gateway-1": 2, "gateway-2": 2}, w.holdings())
		time.Sleep(time.Minute)
		total := 0
		for _, stop := range stops {
			answers, failed := stop()
			assert.Empty(t, failed)
			total += answers
		}
		assert.InDelta(t, 6*10*67, total, 6*10*67*0.1)
		assert.LessOrEqual(t, w.mostOpen(), 6)
		for _, g := range sites {
			g.stop()
		}
	})
}
