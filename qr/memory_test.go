package qr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// endless answers a query with matches, of this length each, until it is cancelled.
func endless(length int) *dicomtest.ScriptedPACS {
	return &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		text := strings.Repeat("x", length)
		for i := 0; ; i++ {
			row := study("P1", fmt.Sprintf("1.%d", i), attributes{
				dataset.StudyDescription: text, dataset.ReferringPhysicianName: text, dataset.InstitutionName: text,
			})
			m := dicomtest.Response(a.Request, dicomnet.StatusPending, row.Encode(dataset.ImplicitVRLittleEndian))
			if _, err := a.Conn.Write(m.Append(nil)); err != nil {
				return
			}
		}
	}}
}

func TestQueryThatNeedsMoreThanItsShareOfMemoryIsCancelledAndFails(t *testing.T) {
	p := endless(1000)
	g := qrtest.For(p, qrtest.Options{})
	all := budget.New(0, 0)
	memory := all.Account("caller")
	result, err := g.Query(t.Context(), qr.Call{Memory: memory}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	assert.Nil(t, result)
	var tooLarge *budget.TooLargeError
	require.ErrorAs(t, err, &tooLarge)
	assert.Equal(t, dicomnet.StepFind, qrtest.StepOf(t, err))
	memory.Close()
	assert.Zero(t, all.Reserved())
	require.NoError(t, g.Wait(t.Context()))
	_ = p.Err() // the PACS writes to an association that is closed
}

func TestQueryFailsWhileOthersUseAllMemory(t *testing.T) {
	all := budget.New(0, 0)
	for range 3 { // one caller gets no more
		require.NoError(t, all.Account("caller").Take(t.Context(), budget.Allowance+1))
	}
	p := endless(1000)
	g := qrtest.For(p, qrtest.Options{})
	_, err := g.Query(t.Context(), qr.Call{Memory: all.Account("caller")}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	var busy *budget.BusyError
	require.ErrorAs(t, err, &busy)
	require.NoError(t, g.Wait(t.Context()))
	_ = p.Err()

	few := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("P1", "1.1")}}
	g = qrtest.For(few, qrtest.Options{})
	_, err = g.Query(t.Context(), qr.Call{Memory: all.Account("caller")}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err, "a small query needs no reservation")
	qrtest.Events(t, few, g)
}

func TestLongMessagesAreHeldWhileTheyAreRead(t *testing.T) {
	all := budget.New(0, 0)
	for range 3 {
		require.NoError(t, all.Account("caller").Take(t.Context(), budget.Allowance+1))
	}
	p := endless(100_000)
	g := qrtest.For(p, qrtest.Options{})
	_, err := g.Query(t.Context(), qr.Call{Memory: all.Account("caller")}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	var busy *budget.BusyError
	require.ErrorAs(t, err, &busy)
	require.NoError(t, g.Wait(t.Context()))
	_ = p.Err()
}

func TestQueryKeepsReservedOnlyWhatItsResultNeeds(t *testing.T) {
	var studies []dicomtest.Attributes
	for i := range 1000 {
		studies = append(studies, study("P1", fmt.Sprintf("1.%d", i)))
	}
	p := &dicomtest.ScriptedPACS{Studies: studies}
	g := qrtest.For(p, qrtest.Options{})
	all := budget.New(0, 0)
	memory := all.Account("caller")
	result, err := g.Query(t.Context(), qr.Call{Memory: memory}, qrtest.PACS, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Len(t, result.Studies, 1000)
	assert.Positive(t, all.Reserved())
	assert.Less(t, all.Reserved(), int64(1<<20))
	memory.Close()
	assert.Zero(t, all.Reserved())
	qrtest.Events(t, p, g)
}
