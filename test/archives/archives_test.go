package archives

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

func gateway(t *testing.T, p *dicomtest.ScriptedPACS, most int) (*qr.Gateway, qr.Peer, *pool.Pool) {
	t.Helper()
	address, stop, err := p.Listen()
	require.NoError(t, err)
	t.Cleanup(stop)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	n, _ := strconv.Atoi(port)
	d := 5 * time.Second
	pl := pool.New(pool.Options{Timeouts: dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Network: d}})
	return qr.New(qr.Options{Pool: pl, MaxMatches: most}), qr.Peer{Host: host, Port: n, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"}, pl
}

func study(uid string, more ...string) dicomtest.Attributes {
	return dicomtest.Attributes{tag.PatientID: "P1", tag.StudyInstanceUID: uid, tag.ModalitiesInStudy: "CT"}
}

func events(p *dicomtest.ScriptedPACS) []string {
	var list []string
	for _, e := range p.Events() {
		list = append(list, e.String())
	}
	return list
}

func TestEndBetweenOperations(t *testing.T) {
	for name, end := range map[string]func(a *dicomtest.ScriptedAssociation){
		"release": func(a *dicomtest.ScriptedAssociation) { a.SendPDU(&pdu.ReleaseRQ{}); a.ReadPDU() },
		"abort":   func(a *dicomtest.ScriptedAssociation) { a.Abort(); a.Close() },
		"close":   func(a *dicomtest.ScriptedAssociation) { a.Close() },
		"second final": func(a *dicomtest.ScriptedAssociation) {
			a.SendMessage(dicomtest.Response(a.Request, dicomnet.StatusSuccess, nil))
		},
	} {
		for _, delay := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
			t.Run(name+delay.String(), func(t *testing.T) {
				p := &dicomtest.ScriptedPACS{AllowLateCancel: true}
				p.Find = func(a *dicomtest.ScriptedAssociation, level string) {
					if level == "STUDY" {
						a.Match(study("1.1").With(tag.ModalitiesInStudy, ""), study("1.2").With(tag.ModalitiesInStudy, ""), study("1.3").With(tag.ModalitiesInStudy, ""))
					} else {
						a.Match(dicomtest.Attributes{tag.StudyInstanceUID: a.Keys().String(tag.StudyInstanceUID), tag.Modality: "CT"})
					}
					a.Finish(dicomnet.StatusSuccess)
					dicomtest.Wait(delay)
					end(a)
				}
				p.Move = func(a *dicomtest.ScriptedAssociation, uid string) {
					a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
					dicomtest.Wait(delay)
					end(a)
				}
				g, peer, pl := gateway(t, p, 0)
				r, err := g.Retrieve(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1", Modalities: []string{"CT"}}, "DEST")
				require.NoError(t, err)
				for _, x := range r.Retrievals {
					assert.Equal(t, qr.RetrievalOK, x.Status, x)
				}
				assert.Len(t, r.Retrievals, 3)
				require.NoError(t, pl.Wait(t.Context()))
				t.Log(len(p.Requests()), events(p))
			})
		}
	}
}

func TestLossesDuringMove(t *testing.T) {
	n := 0
	p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("1.1"), study("1.2"), study("1.3"), study("1.4")}}
	p.Move = func(a *dicomtest.ScriptedAssociation, uid string) {
		n++
		a.Close()
	}
	g, peer, _ := gateway(t, p, 0)
	r, err := g.Retrieve(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"}, "DEST")
	require.NoError(t, err)
	t.Log(r.Retrievals, n)
	assert.Equal(t, qr.RetrievalFailed, r.Retrievals[0].Status)
	assert.Equal(t, qr.RetrievalFailed, r.Retrievals[1].Status)
	assert.Equal(t, qr.RetrievalNotAttempted, r.Retrievals[2].Status)
}

func TestPatientRoot(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: []dicomtest.Attributes{study("1.1")}}
	p.Negotiate = func(a *dicomtest.ScriptedAssociation) bool {
		a.Refuse(dicomnet.StudyRoot.Find)
		return a.Refuse(dicomnet.StudyRoot.Move)
	}
	p.Move = func(a *dicomtest.ScriptedAssociation, uid string) {
		assert.Equal(t, "P1", a.Keys().String(tag.PatientID))
		a.Moved(dicomnet.StatusSuccess, dicomtest.Count(1, 0, 0, -1))
	}
	g, peer, _ := gateway(t, p, 0)
	r, err := g.Retrieve(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"}, "DEST")
	require.NoError(t, err)
	assert.Equal(t, 1, r.Succeeded())
	q, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1"})
	require.NoError(t, err)
	assert.Len(t, q.Studies, 1)
}

func TestForms(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	p.Find = func(a *dicomtest.ScriptedAssociation, level string) {
		if a.Keys().Has(tag.InstitutionName) {
			a.Finish(0xA900)
			return
		}
		if a.Keys().String(tag.AccessionNumber) != "" {
			a.Finish(dicomnet.StatusSuccess)
			return
		}
		a.Match(study("1.1").With(tag.AccessionNumber, `A2\A1`).With(tag.StudyDescription, `LUNG 2.5\AXIAL REF`).With(tag.StudyDate, "2024-01-31"))
		a.Finish(dicomnet.StatusSuccess)
	}
	g, peer, _ := gateway(t, p, 0)
	q, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1", AccessionNumber: "A1"})
	require.NoError(t, err)
	t.Log(q, events(p))
	require.Len(t, q.Studies, 1)
	assert.Equal(t, `LUNG 2.5\AXIAL REF`, q.Studies[0].StudyDescription)
	assert.Equal(t, "20240131", q.Studies[0].StudyDate)
}

func TestUIDs(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	p.Find = func(a *dicomtest.ScriptedAssociation, level string) {
		uid := a.Keys().String(tag.StudyInstanceUID)
		for _, s := range []string{"1.1", "1.2", "1.3", "1.4"} {
			if uid == "" || uid == s {
				a.Match(study(s))
			}
		}
		a.Finish(dicomnet.StatusSuccess)
	}
	p.AllowLateCancel = true
	for _, most := range []int{0, 2} {
		g, peer, _ := gateway(t, p, most)
		q, err := g.Query(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: "P1", StudyInstanceUIDs: []string{"1.2", "1.4"}})
		require.NoError(t, err)
		assert.Len(t, q.Studies, 2)
		t.Log(events(p))
		p.Forget()
	}
	_ = context.Background
}
