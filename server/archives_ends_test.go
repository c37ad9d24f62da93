package server

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// archive is a running gateway and a scripted PACS on loopback.
type archive struct {
	*running
	pacs *dicomtest.ScriptedPACS
	port int
	tls  bool
}

// archiveOf starts a gateway and listens for it as p, over TLS if secure.
func archiveOf(t *testing.T, p *dicomtest.ScriptedPACS, secure bool, o qr.Options) *archive {
	t.Helper()
	p.AllowLateCancel = true
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a := &archive{pacs: p, port: l.Addr().(*net.TCPAddr).Port, tls: secure}
	const d = 5 * time.Second
	gateway := gatewayOptions{qr: o, pool: pool.Options{
		Timeouts: dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Network: d},
	}}
	if secure {
		authority := qrtest.NewAuthority(t, "Hospital")
		l, gateway.pool.TLS = tls.NewListener(l, authority.Server()), authority.Client()
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.Go(conn)
		}
	}()
	g := newGateway(gateway)
	t.Cleanup(func() {
		assert.NoError(t, g.Wait(context.Background()))
		_ = l.Close()
		<-accepted
		assert.NoError(t, p.Err())
	})
	a.running = start(t, g)
	return a
}

func (a *archive) query(t *testing.T, change func(*goclient.QueryRequest)) *goclient.QueryReply {
	t.Helper()
	request := queryRequest()
	request.PACSPort, request.PACSTLS = a.port, &a.tls
	if change != nil {
		change(&request)
	}
	reply, err := a.api.QueryWithResponse(t.Context(), nil, request)
	require.NoError(t, err)
	return reply
}

func (a *archive) retrieve(t *testing.T, change func(*goclient.RetrieveRequest)) *goclient.RetrieveReply {
	t.Helper()
	request := retrieveRequest()
	request.PACSPort, request.PACSTLS = a.port, &a.tls
	if change != nil {
		change(&request)
	}
	reply, err := a.api.RetrieveWithResponse(t.Context(), nil, request)
	require.NoError(t, err)
	return reply
}

// ends are the ways in which a PACS ends an association.
var ends = map[string]func(*association){
	"release": func(a *association) {
		a.SendPDU(&pdu.ReleaseRQ{})
		crossed := false
		for kind, ok := a.PeekType(); ok && kind != pdu.TypeReleaseRP; kind, ok = a.PeekType() {
			a.ReadPDU()
			crossed = crossed || kind == pdu.TypeReleaseRQ
		}
		if crossed { // both sides asked
			_, _ = a.Conn.Write((&pdu.ReleaseRP{}).Append(nil))
		}
		_, _ = io.Copy(io.Discard, a.Conn)
	},
	"abort": func(a *association) { a.Abort(); a.Close() },
	"close": func(a *association) { a.Close() },
	"reset": func(a *association) { a.Reset() },
}

// strays are what a PACS sends between two operations that no operation asked for.
var strays = map[string]func(*association){
	"a second final response": func(a *association) { a.Finish(dicomnet.StatusSuccess) },
	"a second final response in two parts": func(a *association) {
		b := dicomtest.Response(a.Request, dicomnet.StatusSuccess, nil).Append(nil)
		a.Send(b[:10])
		dicomtest.Wait(2 * time.Millisecond)
		a.Send(b[10:])
	},
}

// oneOperation returns a PACS of three studies that calls end after each final response. The modalities of its studies are
// known at SERIES level only.
func oneOperation(end func(*association)) *dicomtest.ScriptedPACS {
	p := &dicomtest.ScriptedPACS{Find: func(a *association, level string) {
		if level == "STUDY" {
			for n := range 3 {
				a.Match(match(n+1).With(tag.ModalitiesInStudy, ""))
			}
		} else {
			a.Match(attributes{tag.StudyInstanceUID: a.Keys().String(tag.StudyInstanceUID), tag.Modality: "CT"})
		}
		a.Finish(dicomnet.StatusSuccess)
		end(a)
	}}
	p.Move = func(a *association, _ string) {
		movedAll(a, 1)
		end(a)
	}
	return p
}

func TestAssociationThatEndsBetweenTwoOperationsIsNoFailure(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(*association){}
	maps.Copy(kinds, ends)
	maps.Copy(kinds, strays)
	for name, end := range kinds {
		for _, secure := range []bool{false, true} {
			for _, delay := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
				t.Run(name+"/"+strconv.FormatBool(secure)+"/"+delay.String(), func(t *testing.T) {
					t.Parallel()
					a := archiveOf(t, oneOperation(func(a *association) {
						dicomtest.Wait(delay)
						end(a)
					}), secure, qr.Options{})

					query := a.query(t, func(r *goclient.QueryRequest) { r.Modalities = []string{"CT"} })
					require.Equal(t, http.StatusOK, query.StatusCode(), "%s", query.Body)
					assert.Len(t, query.JSON200.StudyDetails, 3)

					reply := a.retrieve(t, func(r *goclient.RetrieveRequest) { r.Modalities = []string{"CT"} })
					require.Equal(t, http.StatusOK, reply.StatusCode(), "%s", reply.Body)
					assert.Equal(t, []string{"1 ok 0000 1/0/0", "2 ok 0000 1/0/0", "3 ok 0000 1/0/0"}, linesOf(reply.JSON200.Retrievals))
					assert.Empty(t, codesOf(reply.JSON200.Warnings))

					one := a.retrieve(t, func(r *goclient.RetrieveRequest) { r.MaxResults = new(1) })
					assert.Equal(t, http.StatusOK, one.StatusCode(), "%s", one.Body)
				})
			}
		}
	}
}

func TestAssociationThatEndsDuringAMoveFailsItsStudy(t *testing.T) {
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pacsWith(5, func(a *association, n int) {
				if n == 2 || n >= 4 {
					a.Moving(count(n/4, 0, 0, 1))
					end(a)
					return
				}
				movedAll(a, 1)
			})
			a := archiveOf(t, p, false, qr.Options{})
			reply := a.retrieve(t, nil)
			require.Equal(t, http.StatusMultiStatus, reply.StatusCode(), "%s", reply.Body)
			assert.Equal(t, []string{
				"1 ok 0000 1/0/0", "2 failed  0/0/0", "3 ok 0000 1/0/0", "4 failed  1/0/0", "5 failed  1/0/0",
			}, linesOf(reply.JSON207.Retrievals))
			assert.Len(t, p.Requests(), 3, "a new association after each loss")
		})
	}
}

func TestTwoLossesInARowWithNothingMovedEndTheRetrieve(t *testing.T) {
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pacsWith(4, func(a *association, _ int) {
				a.Moving(count(0, 0, 0, 1))
				end(a)
			})
			a := archiveOf(t, p, false, qr.Options{})
			reply := a.retrieve(t, nil)
			assert.Equal(t, http.StatusBadGateway, reply.StatusCode(), "%s", reply.Body)
			assert.Equal(t, []string{"associate", "find", "move 1", "associate", "move 2"}, seen(p))
		})
	}
}

// A C-MOVE without any answer may have been received or not. It is sent once more at most.
func TestMoveThatIsNeverAnsweredFails(t *testing.T) {
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pacsWith(3, func(a *association, n int) {
				if n == 2 {
					end(a)
					return
				}
				movedAll(a, 1)
			})
			a := archiveOf(t, p, false, qr.Options{})
			reply := a.retrieve(t, nil)
			require.Equal(t, http.StatusMultiStatus, reply.StatusCode(), "%s", reply.Body)
			assert.Equal(t, []string{"1 ok 0000 1/0/0", "2 failed  -/-/-", "3 ok 0000 1/0/0"}, linesOf(reply.JSON207.Retrievals))
			assert.LessOrEqual(t, len(p.Requests()), 3)
		})
	}
}

func TestStudyIsNotAttemptedIfNoNewAssociationIsOpened(t *testing.T) {
	t.Parallel()
	p := pacsWith(3, func(a *association, _ int) {
		movedAll(a, 1)
		a.Close()
	})
	p.Negotiate = func(a *association) bool { return a.Number == 1 || reject(a) }
	a := archiveOf(t, p, false, qr.Options{})
	reply := a.retrieve(t, nil)
	require.Equal(t, http.StatusMultiStatus, reply.StatusCode(), "%s", reply.Body)
	assert.Equal(t, []string{"1 ok 0000 1/0/0", "2 not_attempted  -/-/-", "3 not_attempted  -/-/-"}, linesOf(reply.JSON207.Retrievals))
	assert.Equal(t, []string{"associate", "find", "move 1", "associate"}, seen(p), "one attempt")
}
