package server

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/pool"
)

func TestMetricsOfReuse(t *testing.T) {
	p := pacsWith(3, nil)
	w := watch(t, p, gatewayOptions{pool: pool.Options{AssociationIdle: time.Minute}})
	w.telemetry.CountIdle(w.Idle)
	r := start(t, w)
	for range 3 {
		status, _, answer := r.post(t, "/q", queryBody)
		require.Equal(t, http.StatusOK, status, answer)
	}
	const peer = `peer="127.0.0.1:104"`
	got := figures(t, r, w)
	for name, want := range map[string]float64{
		`dicomqr_associations_idle`:                                               1,
		`dicomqr_associations_open{` + peer + `}`:                                 1,
		`dicomqr_step_duration_seconds_count{outcome="ok",step="associate"}`:      1,
		`dicomqr_step_duration_seconds_count{outcome="ok",step="reuse"}`:          2,
		`dicomqr_step_duration_seconds_count{outcome="ok",step="find"}`:           3,
		`dicomqr_operations_total{operation="find",outcome="ok",` + peer + `}`:    3,
		`dicomqr_matches_total{` + peer + `}`:                                     9,
		`dicomqr_first_response_seconds_count{operation="find",` + peer + `}`:     3,
		`dicomqr_operation_duration_seconds_count{operation="find",` + peer + `}`: 3,

		`dicomqr_queue_length{peer="other"}`: 0,

		`dicomqr_http_request_duration_seconds_count{method="POST",route="/q"}`: 3,
	} {
		assert.Equal(t, want, got[name], name)
	}
	assert.NotContains(t, got, `dicomqr_associations_total{outcome="released",`+peer+`}`)
	w.Drain()
	got = figures(t, r, w)
	assert.Zero(t, got[`dicomqr_associations_idle`])
	assert.Zero(t, got[`dicomqr_associations_open{`+peer+`}`])
	assert.Equal(t, 1.0, got[`dicomqr_associations_total{outcome="released",`+peer+`}`])
}

// Idle associations are released at the beginning of the shutdown, not at its end.
func TestDrainReleasesIdleAssociations(t *testing.T) {
	p := pacsWith(1, nil)
	g := gatewayTo(t, p, gatewayOptions{pool: pool.Options{AssociationIdle: time.Minute}})
	r := start(t, g)
	status, _, answer := r.post(t, "/q", queryBody)
	require.Equal(t, http.StatusOK, status, answer)
	require.Equal(t, 1, g.Idle())
	r.stop()
	require.NoError(t, <-r.done)
	r.done <- nil // for the cleanup
	assert.Zero(t, g.Idle())
	assert.Contains(t, seen(p), "release")
}
