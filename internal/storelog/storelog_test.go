package storelog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/storelog"
	"dicom-qr-gateway/internal/storescp"
	"dicom-qr-gateway/internal/telemetry"
)

type rig struct {
	*storelog.Observer
	watch       *telemetry.Telemetry
	log, record bytes.Buffer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{}
	var err error
	r.watch, err = telemetry.New(telemetry.Options{Logger: zerolog.Nop(), Code: func(context.Context, error) string { return "" }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.watch.Close(context.WithoutCancel(t.Context())) })
	r.Observer = storelog.New(zerolog.New(&r.log), r.watch, audit.NewTrail(audit.To(&r.record, audit.Options{})))
	return r
}

func (r *rig) metric(t *testing.T, name string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.watch.WriteMetrics(&b))
	for line := range strings.Lines(b.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

var (
	known    = storescp.Association{PACS: "main", Remote: netip.MustParseAddrPort("192.0.2.7:4711"), CalledAETitle: "GATEWAY", CallingAETitle: "PACS"}
	stranger = storescp.Association{Remote: netip.MustParseAddrPort("[2001:db8::1]:4711"), CalledAETitle: "GATEWAY", CallingAETitle: "X"}
)

func TestRejectedAssociationsAreLoggedRecordedAndCounted(t *testing.T) {
	for reason, rejected := range map[string]*dicomnet.RejectError{
		"calling_ae_title": {Result: 1, Source: 1, Reason: 3}, "called_ae_title": {Result: 1, Source: 1, Reason: 7}, "limit": {Result: 2, Source: 3, Reason: 2},
	} {
		r := newRig(t)
		r.Associated(stranger, rejected)
		assert.JSONEq(t, `{"level":"warn","peer":"[2001:db8::1]:4711","called_ae_title":"GATEWAY","calling_ae_title":"X","reason":"`+reason+`",
			"message":"association rejected"}`, r.log.String())
		assert.Contains(t, r.record.String(), reason)
		assert.Equal(t, "1", r.metric(t, `dicomqr_store_associations_total{outcome="`+reason+`"}`))
	}
}

func TestAnAcceptedAssociationIsOnlyCounted(t *testing.T) {
	r := newRig(t)
	r.Associated(known, nil)
	r.Ended(known, 0)
	r.Ended(known, 1)
	assert.Empty(t, r.log.String()+r.record.String())
	assert.Equal(t, "1", r.metric(t, `dicomqr_store_associations_total{outcome="accepted"}`))
}

func TestTheFirstRefusedInstanceOfAnAssociationIsLoggedAndRecordedAndAllAreCounted(t *testing.T) {
	r := newRig(t)
	for n := 1; n <= 3; n++ {
		r.Refused(known, storescp.Unexpected, n)
	}
	assert.JSONEq(t, `{"level":"warn","peer":"192.0.2.7:4711","pacs":"main","called_ae_title":"GATEWAY","calling_ae_title":"PACS","reason":"unexpected",
		"message":"instance refused"}`, r.log.String())
	assert.Equal(t, 1, strings.Count(r.record.String(), "\n"))
	assert.Equal(t, "3", r.metric(t, `dicomqr_stores_refused_total{reason="unexpected"}`))
	r.log.Reset()
	r.Ended(known, 3)
	assert.JSONEq(t, `{"level":"warn","peer":"192.0.2.7:4711","pacs":"main","called_ae_title":"GATEWAY","calling_ae_title":"PACS","instances":3,
		"message":"instances refused"}`, r.log.String())
}

func TestAFloodOfStrangersIsNotLoggedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for range 1000 {
			r.Associated(stranger, &dicomnet.RejectError{Result: 1, Source: 1, Reason: 3})
		}
		assert.Equal(t, 60, strings.Count(r.log.String(), "\n"))
		assert.Equal(t, 60, strings.Count(r.record.String(), "\n"))
		assert.Equal(t, "1000", r.metric(t, `dicomqr_store_associations_total{outcome="calling_ae_title"}`))
		time.Sleep(time.Minute)
		r.log.Reset()
		r.Failed(stranger, errors.New("no certificate"))
		assert.JSONEq(t, `{"level":"warn","peer":"[2001:db8::1]:4711","called_ae_title":"GATEWAY","calling_ae_title":"X","reason":"no certificate","omitted":940,
			"message":"TLS handshake of the storage SCP failed"}`, r.log.String())
	})
}

func TestListeningIsLogged(t *testing.T) {
	r := newRig(t)
	r.Listening(netip.MustParseAddrPort("127.0.0.1:11112"), []string{"A", "B"})
	assert.JSONEq(t, `{"level":"info","address":"127.0.0.1:11112","ae_titles":["A","B"],"message":"storage SCP listening"}`, r.log.String())
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestARecordThatIsNotWrittenIsLogged(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t)
	o := storelog.New(zerolog.New(&log), r.watch, audit.NewTrail(audit.To(fullDisk{}, audit.Options{})))
	o.Refused(known, storescp.Malformed, 1)
	assert.Contains(t, log.String(), `"message":"audit record not written"`)
}

func TestAssociationsAreLoggedWithTheNameOfThePACS(t *testing.T) {
	r := newRig(t)
	var o storescp.Options
	r.Observe(&o, false)
	o.Trace("main").Ended(o.Background, dicomnet.Summary{Outcome: "released", Err: dicomnet.ErrReleased})
	var line map[string]any
	require.NoError(t, json.Unmarshal(r.log.Bytes(), &line))
	assert.Equal(t, "main", line["pacs"])
	assert.NotContains(t, line, "error", "a release is no fault")
	assert.Nil(t, o.Trace("").PDU)
	r.Observe(&o, true)
	assert.NotNil(t, o.Trace("").PDU)
}
