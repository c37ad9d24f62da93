//go:build soak

package soak

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// The operations of callers.
const (
	query    = "/q"
	retrieve = "/qr"
	stream   = "/qr, streamed"
	echo     = "/echo"
)

// operations are sent to every peer.
var operations = []string{query, retrieve, stream, echo}

// want is the only right response to a request, and the event IDs of its audit records.
type want struct{ answer, audit string }

const (
	queried     = "110112"        // Query
	moved       = "110102 110104" // Begin Transferring, Instances Transferred
	echoed      = "110108"        // Network Entry
	alert       = "110113"        // Security Alert
	notAudited  = ""
	noMatch     = "404 no_study_matched"
	left        = "left"
	unknown     = "UNKNOWN"
	destination = "DEST"
	broken      = "BROKEN"
	pauseOfSlow = 20 * time.Millisecond
	manyMore    = 4 // shares of the requests; a bad peer has one or two
)

// peer is a PACS, or something else on its port, with the responses that the gateway must give.
type peer struct {
	name      string
	port      int
	patientID string
	moveTo    string
	wants     map[string]want
	share     int      // of the requests
	waiting   *waiting // nil except for the peer whose callers disconnect
	host      string   // "": 127.0.0.1
}

// ok is for peers at which everything succeeds; a retrieve has this status.
func ok(status int) map[string]want {
	return map[string]want{
		query: {"200", queried}, retrieve: {strconv.Itoa(status), moved},
		stream: {"200, result " + strconv.Itoa(status), moved}, echo: {"200", echoed},
	}
}

// failing is for peers at which every operation fails with this problem.
func failing(code string) map[string]want {
	answer := "502 " + code
	return map[string]want{query: {answer, queried}, retrieve: {answer, queried}, stream: {answer, queried}, echo: {answer, echoed}}
}

// finding is for peers that respond to C-ECHO, and at which every query ends like this.
func finding(answer string) map[string]want {
	return map[string]want{query: {answer, queried}, retrieve: {answer, queried}, stream: {answer, queried}, echo: {"200", echoed}}
}

// peers starts all peers.
func peers(t *testing.T) []*peer {
	t.Helper()
	good, partial, slow := archives(t)
	ports := map[string]int{}
	w := &waiting{}
	for name, play := range map[string]func(*dicomtest.ScriptedPeer){
		"silent": silent, "mute": mute, "rejecting": rejecting, "full": full, "aborting": aborting,
		"vanishing": vanishing, "babbling": babbling, "lying": lying,
	} {
		ports[name] = listen(t, &dicomtest.Script{Play: play})
	}
	for name, p := range map[string]*dicomtest.ScriptedPACS{
		"flooding": flooding(), "foreign": foreign(), "dying": dying(), "waiting": w.pacs(),
	} {
		ports[name] = listen(t, p)
	}
	const patient = demo.PatientID
	dies := finding("")
	dies[query] = want{"200", queried}
	dies[retrieve] = want{"502 association_aborted", moved}
	dies[stream] = want{"200, error 502 association_aborted", moved}
	leaving := map[string]want{query: {left, queried}, retrieve: {left, moved}, stream: {left, moved}, echo: {"200", echoed}}
	refused := want{"403 pacs_not_allowed", alert}
	forbidden := map[string]want{query: refused, retrieve: refused, stream: refused, echo: refused}
	return []*peer{
		{"good", good, patient, destination, ok(200), 3 * manyMore, nil, ""},
		{"good, no match", good, unknown, destination, finding(noMatch), manyMore, nil, ""},
		{"partial", partial, patient, broken, ok(207), manyMore, nil, ""},
		{"slow", slow, patient, destination, ok(200), manyMore, nil, ""},
		{"foreign", ports["foreign"], patient, destination, finding(noMatch), manyMore, nil, ""},
		{"flooding", ports["flooding"], patient, destination, finding("502 too_many_matches"), 2, nil, ""},
		{"dying", ports["dying"], patient, destination, dies, 2, nil, ""},
		{"rejecting", ports["rejecting"], patient, destination, failing("association_rejected"), 2, nil, ""},
		{"aborting", ports["aborting"], patient, destination, failing("association_aborted"), 2, nil, ""},
		{"vanishing", ports["vanishing"], patient, destination, failing("connection_lost"), 2, nil, ""},
		{"babbling", ports["babbling"], patient, destination, failing("not_a_dicom_peer"), 2, nil, ""},
		{"lying", ports["lying"], patient, destination, failing("protocol_error"), 2, nil, ""},
		{"closed port", closedPort(t), patient, destination, failing("connection_refused"), 1, nil, ""},
		{"full", ports["full"], patient, destination, failing("association_rejected"), 1, nil, ""},
		{"silent", ports["silent"], patient, destination, failing("association_timeout"), 1, nil, ""},
		{"mute", ports["mute"], patient, destination, failing("dimse_timeout"), 1, nil, ""},
		{"left by its callers", ports["waiting"], "", destination, leaving, manyMore, w, ""},
		{"forbidden", good, patient, destination, forbidden, 1, nil, notAllowed},
	}
}

// listener is a scripted peer.
type listener interface {
	Listen() (address string, stop func(), err error)
	Err() error
}

// listen runs a scripted peer until the end of the test. An error of the script means that the gateway did something else than
// it should.
func listen(t *testing.T, p listener) (port int) {
	t.Helper()
	address, stop, err := p.Listen()
	require.NoError(t, err)
	t.Cleanup(func() {
		stop()
		assert.NoError(t, p.Err())
	})
	return portOf(t, address)
}

// archives starts three PACS in memory: a good one, one whose destination refuses an instance, and a slow one.
func archives(t *testing.T) (good, partial, slow int) {
	t.Helper()
	refused := newestInstance()
	destinations := map[string]string{
		destination: archive(t, dicomtest.PACSConfig{AETitle: destination}),
		broken: archive(t, dicomtest.PACSConfig{AETitle: broken, FailStore: func(uid string) dicomnet.Status {
			if uid == refused {
				return dicomnet.StatusSOPClassNotSupported
			}
			return dicomnet.StatusSuccess
		}}),
	}
	good = portOf(t, archive(t, dicomtest.PACSConfig{AETitle: called, Destinations: destinations}))
	partial = portOf(t, archive(t, dicomtest.PACSConfig{AETitle: called, Destinations: destinations}))
	slow = portOf(t, archive(t, dicomtest.PACSConfig{
		AETitle: called, Destinations: destinations,
		Before: func(ctx context.Context, _ dicomnet.Step) {
			select {
			case <-time.After(pauseOfSlow):
			case <-ctx.Done():
			}
		},
	}))
	return good, partial, slow
}

func archive(t *testing.T, c dicomtest.PACSConfig) (address string) {
	t.Helper()
	p := dicomtest.NewPACS(c)
	require.NoError(t, p.AddStudies(demo.Studies()...))
	require.NoError(t, p.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, p.Close()) })
	return p.Addr()
}

// newestInstance returns an instance of the study that all retrieves ask for.
func newestInstance() string {
	studies := slices.DeleteFunc(demo.Studies(), func(s dicomtest.Study) bool { return s.PatientID != demo.PatientID })
	newest := slices.MaxFunc(studies, func(a, b dicomtest.Study) int {
		return cmp.Compare(a.StudyDate+a.StudyTime, b.StudyDate+b.StudyTime)
	})
	return newest.Instances()[0].Text(tag.SOPInstanceUID)
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	return port
}

// closedPort returns a port without a listener. A connection holds it, so that no other program can listen there.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	held, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Cleanup(func() { _ = held.Close() })
	return portOf(t, held.LocalAddr().String())
}
