//go:build siege && linux

package siege

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

const patientID = "PID-1"

// listen runs a PACS until the end of the test and returns its port.
func listen(t testing.TB, pacs interface {
	Listen() (address string, stop func(), err error)
},
) int {
	t.Helper()
	address, stop, err := pacs.Listen()
	require.NoError(t, err)
	t.Cleanup(stop)
	return portOf(t, address)
}

func studyUID(i int) string { return fmt.Sprintf("1.2.840.99999.%d", i+1) }

// archive returns a PACS with n studies of the patient, as large as usual.
func archive(n int) *dicomtest.ScriptedPACS {
	responses := &matches{n: n}
	return &dicomtest.ScriptedPACS{AllowLateCancel: true, Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		a.Send(responses.of(a))
		a.Finish(dicomnet.StatusSuccess)
	}}
}

// matches are the pending responses of a C-FIND with n studies. They are made once, so that a hostile PACS does not use the processor
// that the gateway needs.
type matches struct {
	n  int
	mu sync.Mutex
	// by request, as far as the responses depend on it
	made map[[2]int][]byte
}

func (m *matches) of(a *dicomtest.ScriptedAssociation) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	request := [2]int{int(a.Request.ContextID), int(a.Request.Command.MessageID)}
	if b, ok := m.made[request]; ok {
		return b
	}
	var b []byte
	for i := range m.n {
		study := dicomtest.StudyMatch(patientID, studyUID(i)).
			With(tag.PatientName, "DOE^JANE").
			With(tag.StudyDescription, strings.Repeat("D", 64)).
			With(tag.ModalitiesInStudy, "CT").
			With(tag.StudyDate, "20240101")
		b = dicomtest.Response(a.Request, dicomnet.StatusPending, study.Encode(a.TransferSyntax())).Append(b)
	}
	if m.made == nil {
		m.made = map[[2]int][]byte{}
	}
	m.made[request] = b
	return b
}

// fragments is a part of a data set that is sent often, as P-DATA-TF PDUs for each presentation context.
type fragments struct {
	data []byte
	last bool // the data set ends with it

	mu        sync.Mutex
	byContext map[byte][]byte
}

func (f *fragments) pdus(contextID byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byContext[contextID] == nil {
		const size = 16000
		var b []byte
		for data := f.data; len(data) > 0; {
			n := min(size, len(data))
			body := pdu.AppendPDV(nil, pdu.PDV{ContextID: contextID, Last: f.last && n == len(data), Fragment: data[:n]})
			b = (&pdu.PDataTF{Body: body}).Append(b)
			data = data[n:]
		}
		if f.byContext == nil {
			f.byContext = map[byte][]byte{}
		}
		f.byContext[contextID] = b
	}
	return f.byContext[contextID]
}

// withTexts returns a PACS with matches that have a text of 1 MB each: as many as the limit of an operation permits, and as large as
// that of a data set does.
func withTexts(char string) *dicomtest.ScriptedPACS {
	const matches, length = 62, 1_000_000
	text := &fragments{data: dicomtest.Attributes{tag.StudyDescription: strings.Repeat(char, length)}.Encode("")}
	return &dicomtest.ScriptedPACS{AllowLateCancel: true, Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		pending := dicomtest.Response(a.Request, dicomnet.StatusPending, nil)
		pending.Command.HasDataSet = true
		for i := range matches {
			a.SendMessage(pending) // its data set follows
			a.Send(text.pdus(a.Request.ContextID))
			end := fragments{data: dicomtest.StudyMatch(patientID, studyUID(i)).Encode(""), last: true}
			a.Send(end.pdus(a.Request.ContextID))
		}
		a.Finish(dicomnet.StatusSuccess)
	}}
}

// withFailures returns a PACS with studies of which every C-MOVE fails for 20,000 instances.
func withFailures(studies int) *dicomtest.ScriptedPACS {
	const instances = 20000
	uids := make([]string, instances)
	for i := range uids {
		uids[i] = fmt.Sprintf("1.2.840.99999.1%035d", i+1) // together almost 1 MiB, the limit of a data set
	}
	list := &fragments{data: dicomtest.Attributes{tag.FailedSOPInstanceUIDList: strings.Join(uids, `\`)}.Encode(""), last: true}
	pacs := archive(studies)
	pacs.Move = func(a *dicomtest.ScriptedAssociation, _ string) {
		end := a.MoveResponse(0xB000, dicomtest.Count(1, instances, 0, -1)) // sub-operations complete, one or more failures
		end.Command.HasDataSet = true
		a.SendMessage(end)
		a.Send(list.pdus(a.Request.ContextID))
	}
	return pacs
}

// slow returns a PACS that never answers a C-FIND, not even if it is cancelled.
func slow() *dicomtest.ScriptedPACS {
	return &dicomtest.ScriptedPACS{AllowLateCancel: true, Find: func(*dicomtest.ScriptedAssociation, string) {}}
}

// flooding returns a PACS that sends the same matches without end.
func flooding() *dicomtest.ScriptedPACS {
	responses := &matches{n: 1000}
	return &dicomtest.ScriptedPACS{AllowLateCancel: true, Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		for {
			a.Send(responses.of(a))
		}
	}}
}

// The scripts of peers that do not keep to the protocol.

// silent accepts connections and says nothing.
func silent(p *dicomtest.ScriptedPeer) { _, _ = io.Copy(io.Discard, p.Conn) }

// lying sends a PDU that claims 4 GiB.
func lying(p *dicomtest.ScriptedPeer) {
	p.Accept()
	p.ReadMessage()
	p.Send([]byte{byte(pdu.TypePDataTF), 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0})
	silent(p)
}

// endless sends a data set that does not end.
func endless(p *dicomtest.ScriptedPeer) {
	p.Accept()
	m := p.ReadMessage()
	pending := dicomtest.Response(m, dicomnet.StatusPending, nil)
	pending.Command.HasDataSet = true
	p.SendMessage(pending)
	part := &fragments{data: make([]byte, 16000)}
	for {
		p.Send(part.pdus(m.ContextID))
	}
}
