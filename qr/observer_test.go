package qr_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// identifiers is an Observer that records the identifiers that are sent.
type identifiers struct {
	qr.Unobserved
	sent []qr.Identifier
}

func (o *identifiers) Sent(i qr.Identifier) { o.sent = append(o.sent, i) }

// encoded returns the bytes of each identifier.
func (o *identifiers) encoded(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for _, i := range o.sent {
		b, err := i.Encode()
		require.NoError(t, err)
		all = append(all, b)
	}
	return all
}

func (o *identifiers) levels() []qr.Level {
	var all []qr.Level
	for _, i := range o.sent {
		all = append(all, i.Level)
	}
	return all
}

func TestSentReceivesTheIdentifiersThatThePACSReceives(t *testing.T) {
	for _, syntax := range []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian, dataset.ExplicitVRLittleEndian} {
		t.Run(string(syntax), func(t *testing.T) {
			var received [][]byte
			p := &dicomtest.ScriptedPACS{
				Negotiate: func(a *association) bool {
					for i := range a.Answer.Contexts {
						a.Answer.Contexts[i].TransferSyntaxes = []string{string(syntax)}
					}
					return true
				},
				Find: func(a *association, level string) {
					received = append(received, a.Request.Data)
					if level == "STUDY" {
						a.Match(study("PID-Ä", "1.1", date("20240101"), dicomtest.Attributes{dataset.AccessionNumber: "ACC"}))
					} else {
						a.Match(dicomtest.Attributes{dataset.Modality: "CT"})
					}
					a.Finish(dicomnet.StatusSuccess)
				},
			}
			g := qrtest.For(p, qrtest.Options{})
			var observed identifiers
			filter := qr.Filter{PatientID: "PID-Ä", AccessionNumber: "ACC", MaxYearsOld: 2, Modalities: []string{"CT"}}
			_, err := g.Retrieve(t.Context(), qr.Call{Observer: &observed}, qrtest.PACS, filter, "DEST")
			require.NoError(t, err)
			assert.Equal(t, []string{
				"associate FIND MOVE", "find STUDY", "find SERIES 1.1", "move 1.1 to DEST", "release",
			}, qrtest.Events(t, p, g))

			assert.Equal(t, []qr.Level{qr.LevelStudy, qr.LevelSeries}, observed.levels())
			assert.Equal(t, received, observed.encoded(t))
			for _, i := range observed.sent {
				assert.Equal(t, dicomnet.StudyRoot.Find, i.SOPClassUID)
				assert.Equal(t, syntax, i.TransferSyntax)
			}
			set, err := dataset.Parse(received[0], syntax, dataset.Limits{})
			require.NoError(t, err)
			assert.Equal(t, "STUDY", set.String(dataset.QueryRetrieveLevel))
			assert.Equal(t, "PID-Ä", set.String(dataset.PatientID))
			assert.Equal(t, "ACC", set.String(dataset.AccessionNumber))
			assert.Equal(t, "20220615-", set.String(dataset.StudyDate))
		})
	}
}

func TestSentReceivesAnIdentifierThatIsSentAgain(t *testing.T) {
	var received [][]byte
	p := &dicomtest.ScriptedPACS{}
	p.Find = func(a *association, _ string) {
		if received = append(received, a.Request.Data); len(received) == 2 {
			a.Close() // the idle association is stale
			return
		}
		a.Finish(dicomnet.StatusSuccess)
	}
	g := qrtest.For(p, qrtest.Options{AssociationIdle: time.Minute})
	var observed identifiers
	for range 2 {
		_, err := g.Query(t.Context(), qr.Call{Observer: &observed}, qrtest.PACS, qr.Filter{PatientID: "P1"})
		require.NoError(t, err)
	}
	qrtest.Drain(t, p, g)
	assert.Len(t, received, 3)
	assert.Equal(t, received, observed.encoded(t))
}

func TestSentReceivesNothingForAnInvalidFilter(t *testing.T) {
	var observed identifiers
	g := qrtest.New(qrtest.Options{DialContext: qrtest.NoDial})
	_, err := g.Query(t.Context(), qr.Call{Observer: &observed}, qrtest.PACS, qr.Filter{})
	var invalid *qr.FilterError
	require.ErrorAs(t, err, &invalid)
	assert.Empty(t, observed.sent)
}

// refuser is an Observer that refuses each retrieve.
type refuser struct {
	recorder
	err error
}

func (o *refuser) Matched(studies []qr.Study, warnings []qr.Warning) error {
	_ = o.recorder.Matched(studies, warnings)
	return o.err
}

func TestErrorOfMatchedEndsTheRetrieveWithNothingMoved(t *testing.T) {
	refused := errors.New("refused")
	p := &dicomtest.ScriptedPACS{Studies: threeStudies()}
	g := qrtest.For(p, qrtest.Options{})
	observer := refuser{err: refused}
	result, err := g.Retrieve(t.Context(), qr.Call{Observer: &observer}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
	assert.Nil(t, result)
	require.ErrorIs(t, err, refused)
	assert.Equal(t, dicomnet.StepMove, qrtest.StepOf(t, err))
	assert.Equal(t, []string{"matched [1.1 1.2 1.3] []"}, observer.lines, "no study is reported as retrieved")
	assert.Equal(t, []string{"associate FIND MOVE", "find STUDY", "release"}, qrtest.Events(t, p, g))
}

func TestUnobservedRetrieveSucceeds(t *testing.T) {
	for name, observer := range map[string]qr.Observer{"nil": nil, "Unobserved": qr.Unobserved{}} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Studies: threeStudies(), Move: func(a *association, _ string) {
				a.Moving(dicomtest.Count(0, 0, 0, 1))
				a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
			}}
			assert.Equal(t, 3, retrieve(t, p, qr.Filter{}, observer).Succeeded())
			assert.True(t, slices.Contains(qrtest.Lines(p), "move 1.3 to DEST"))
		})
	}
}
