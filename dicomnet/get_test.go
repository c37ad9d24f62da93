package dicomnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

const mrStorage = "1.2.840.10008.5.1.4.1.1.4"

// Identifiers of the presentation contexts that retrievalConfig proposes.
const (
	getID    = 1
	ctID     = 3
	ctJPEG   = 5
	mrID     = 7
	jpegLS   = dataset.TransferSyntax("1.2.840.10008.1.2.4.80")
	longData = 200 << 10
)

// retrievalConfig returns a configuration that proposes C-GET and storage with the role of SCP.
func retrievalConfig() dicomnet.Config {
	cfg := config()
	explicit := []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian}
	cfg.Contexts = []dicomnet.Context{
		{AbstractSyntax: dicomnet.StudyRoot.Get, TransferSyntaxes: []dataset.TransferSyntax{dataset.ImplicitVRLittleEndian}},
		{AbstractSyntax: ctStorage, TransferSyntaxes: explicit},
		{AbstractSyntax: ctStorage, TransferSyntaxes: []dataset.TransferSyntax{jpegLS}},
		{AbstractSyntax: mrStorage, TransferSyntaxes: explicit},
	}
	cfg.Roles = []dicomnet.Role{{SOPClassUID: ctStorage, SCP: true}, {SOPClassUID: mrStorage, SCP: true}}
	return cfg
}

// withGet is withAssociation for C-GET: the peer accepts every presentation context and confirms the roles.
func withGet(t *testing.T, play func(p *dicomtest.ScriptedPeer), body func(t *testing.T, a *dicomnet.Association)) {
	t.Helper()
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		acceptGet(p)
		play(p)
	}, func(t *testing.T, cfg dicomnet.Config) {
		get := retrievalConfig()
		get.DialContext = cfg.DialContext
		a, err := dicomnet.Dial(t.Context(), "pacs:104", get)
		require.NoError(t, err)
		body(t, a)
		_ = a.Close()
	})
}

func acceptGet(p *dicomtest.ScriptedPeer) {
	p.ReadAssociateRQ()
	ac := p.AC("")
	ac.User.Roles = p.RQ.User.Roles
	p.SendPDU(ac)
}

// storeRequest returns a C-STORE-RQ for a CT on its first presentation context.
func storeRequest(id uint16, uid string, data []byte) dicomtest.Message {
	return dicomtest.Message{ContextID: ctID, Data: data, Command: dicomnet.CommandSet{
		CommandField: dicomnet.CStoreRQ, MessageID: id, AffectedSOPClassUID: ctStorage, AffectedSOPInstanceUID: uid, HasDataSet: data != nil,
	}}
}

// store sends C-STORE-RQs one by one and returns the statuses of the responses, which must refer to them.
func store(p *dicomtest.ScriptedPeer, requests ...dicomtest.Message) []dicomnet.Status {
	statuses := make([]dicomnet.Status, 0, len(requests))
	for _, rq := range requests {
		p.SendMessage(rq)
		statuses = append(statuses, readStoreResponse(p, rq))
	}
	return statuses
}

func readStoreResponse(p *dicomtest.ScriptedPeer, rq dicomtest.Message) dicomnet.Status {
	rsp := p.ReadRequest(dicomnet.CStoreRSP)
	c := rsp.Command
	if rsp.ContextID != rq.ContextID || c.MessageIDBeingRespondedTo != rq.Command.MessageID ||
		c.AffectedSOPClassUID != rq.Command.AffectedSOPClassUID || c.AffectedSOPInstanceUID != rq.Command.AffectedSOPInstanceUID {
		p.Failf("response %+v does not refer to its request %+v", rsp, rq)
	}
	return c.Status
}

// getResponse returns a C-GET response with counters.
func getResponse(rq dicomtest.Message, status dicomnet.Status, completed uint16) dicomtest.Message {
	m := dicomtest.Response(rq, status, nil)
	m.Command.Completed = ptr(completed)
	return m
}

// content returns a data set's worth of bytes that differ from place to place.
func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8*13 + i>>16)
	}
	return b
}

// getResult holds all that a C-GET yielded.
type getResult struct {
	received []dicomnet.Instance
	data     map[string][]byte
	reports  []dicomnet.RetrieveReport
	err      error
}

// final returns the last report.
func (g *getResult) final() dicomnet.RetrieveReport { return g.reports[len(g.reports)-1] }

func runGet(ctx context.Context, a *dicomnet.Association) *getResult {
	g := &getResult{data: map[string][]byte{}}
	report := func(r dicomnet.RetrieveReport) { g.reports = append(g.reports, r) }
	for in, err := range a.Get(ctx, dicomnet.StudyRoot, query(), report) {
		if err != nil {
			g.err = err
			continue
		}
		b, err := io.ReadAll(in)
		g.received = append(g.received, *in)
		g.data[in.SOPInstanceUID] = b
		if err != nil {
			g.err = err
		}
	}
	return g
}

func TestGetYieldsInstancesAsTheyArrive(t *testing.T) {
	big := content(longData)
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		jpeg := storeRequest(1, "1.2.2", content(100)) // a message ID may be used again
		jpeg.ContextID = ctJPEG
		mr := storeRequest(9, "1.2.3", content(1))
		mr.ContextID, mr.Command.AffectedSOPClassUID = mrID, mrStorage
		statuses := store(p, storeRequest(1, "1.2.1", big))
		p.SendMessage(getResponse(rq, dicomnet.StatusPending, 1), getResponse(rq, dicomnet.StatusPending, 1))
		statuses = append(statuses, store(p, jpeg, mr)...)
		p.SendMessage(getResponse(rq, dicomnet.StatusSuccess, 3))
		assert.Equal(t, []dicomnet.Status{0, 0, 0}, statuses)
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		assert.False(t, a.UnconfirmedSCP())
		g := runGet(t.Context(), a)
		require.NoError(t, g.err)
		assert.Equal(t, map[string][]byte{"1.2.1": big, "1.2.2": content(100), "1.2.3": content(1)}, g.data)
		require.Len(t, g.received, 3)
		first, second := g.received[0].Meta, g.received[1]
		assert.Equal(t, ctStorage, first.SOPClassUID)
		assert.Equal(t, dataset.ExplicitVRLittleEndian, first.TransferSyntax)
		assert.Equal(t, "PACS", first.SendingAETitle)
		assert.Equal(t, "GATEWAY", first.ReceivingAETitle)
		assert.Equal(t, jpegLS, second.TransferSyntax)
		assert.Equal(t, uint16(1), second.MessageID)
		assert.Equal(t, mrStorage, g.received[2].SOPClassUID)
		require.Len(t, g.reports, 3)
		assert.Equal(t, ptr(3), g.final().Completed)
		assert.True(t, g.final().Final)
		assert.True(t, a.Clean())
	})
}

func TestGetReadsWithAnyReader(t *testing.T) {
	data := content(100_001)
	readers := map[string]func(io.Reader) io.Reader{
		"one byte at a time":    iotest.OneByteReader,
		"half of what is asked": iotest.HalfReader,
		"io.Copy":               func(r io.Reader) io.Reader { return r },
		"odd lengths":           func(r io.Reader) io.Reader { return &shortReader{r, 4999} },
	}
	for name, reader := range readers {
		t.Run(name, func(t *testing.T) {
			withGet(t, func(p *dicomtest.ScriptedPeer) {
				rq := p.ReadRequest(dicomnet.CGetRQ)
				assert.Equal(t, []dicomnet.Status{0}, store(p, storeRequest(1, "1.2.1", data)))
				p.SendMessage(getResponse(rq, dicomnet.StatusSuccess, 1))
				p.Release()
			}, func(t *testing.T, a *dicomnet.Association) {
				for in, err := range a.Get(t.Context(), dicomnet.StudyRoot, query(), nil) {
					require.NoError(t, err)
					var b bytes.Buffer
					_, err := io.Copy(&b, reader(in))
					require.NoError(t, err)
					assert.Equal(t, data, b.Bytes())
					assert.Equal(t, int64(len(data)), in.Received())
				}
			})
		})
	}
}

// shortReader reads at most most bytes at once.
type shortReader struct {
	r    io.Reader
	most int
}

func (s *shortReader) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.most)]) }

func TestGetDropsWhatTheCallerDoesNotRead(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		assert.Equal(t, []dicomnet.Status{0x0110, 0xA700, 0},
			store(p, storeRequest(1, "1.1", content(longData)), storeRequest(2, "1.2", content(longData)), storeRequest(3, "1.3", content(5))))
		p.SendMessage(getResponse(rq, dicomnet.StatusWarning, 1))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		for in, err := range a.Get(t.Context(), dicomnet.StudyRoot, query(), nil) {
			require.NoError(t, err)
			switch in.SOPInstanceUID {
			case "1.1":
				_, err := io.CopyN(io.Discard, in, 20_000)
				require.NoError(t, err)
			case "1.2":
				in.Respond(dicomnet.StatusOutOfResources)
			default:
				_, err := io.Copy(io.Discard, in)
				require.NoError(t, err)
			}
		}
		assert.True(t, a.Usable())
	})
}

func TestGetEndsWithTheFailureOfThePeer(t *testing.T) {
	for _, status := range []dicomnet.Status{0xA701, 0xA702, 0xA900, 0xC123, 0x0122, 0x0124, 0xAA00, 0xFE00, 0x4321} {
		withGet(t, func(p *dicomtest.ScriptedPeer) {
			rq := p.ReadRequest(dicomnet.CGetRQ)
			m := dicomtest.Response(rq, status, failedList("1.2.9", "1.2.8"))
			p.SendMessage(m)
			p.Release()
		}, func(t *testing.T, a *dicomnet.Association) {
			g := runGet(t.Context(), a)
			var failure *dicomnet.StatusError
			require.ErrorAs(t, g.err, &failure)
			assert.Equal(t, status, failure.Status)
			assert.Equal(t, dicomnet.StepGet, failure.Op)
			requireStep(t, g.err, dicomnet.StepGet)
			assert.Equal(t, []string{"1.2.9", "1.2.8"}, g.final().FailedSOPInstanceUIDs)
			assert.True(t, a.Usable())
			assert.False(t, a.Clean())
		})
	}
}

func TestGetReportsAWarningWithTheFailedInstances(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		store(p, storeRequest(1, "1.1", content(9)))
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusWarning, failedList("1.2")))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		g := runGet(t.Context(), a)
		require.NoError(t, g.err)
		assert.Equal(t, []string{"1.2"}, g.final().FailedSOPInstanceUIDs)
		assert.Len(t, g.received, 1)
	})
}

func TestGetAcceptsStoresWithoutAConfirmedRole(t *testing.T) {
	for name, roles := range map[string][]pdu.RoleSelection{
		"no roles":        nil,
		"role refused":    {{SOPClassUID: ctStorage, SCU: true}},
		"other SOP class": {{SOPClassUID: "1.2.3", SCP: true}},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadAssociateRQ()
				ac := p.AC("")
				ac.User.Roles = roles
				p.SendPDU(ac)
				rq := p.ReadRequest(dicomnet.CGetRQ)
				assert.Equal(t, []dicomnet.Status{0}, store(p, storeRequest(1, "1.1", content(9))))
				p.SendMessage(getResponse(rq, dicomnet.StatusSuccess, 1))
				p.Release()
			}, func(t *testing.T, cfg dicomnet.Config) {
				get := retrievalConfig()
				get.DialContext = cfg.DialContext
				a, err := dicomnet.Dial(t.Context(), "pacs:104", get)
				require.NoError(t, err)
				assert.True(t, a.UnconfirmedSCP())
				g := runGet(t.Context(), a)
				require.NoError(t, g.err)
				assert.Len(t, g.received, 1)
				require.NoError(t, a.Close())
			})
		})
	}
}

func TestGetRefusesInstancesThatCannotBeNamed(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		otherClass := storeRequest(1, "1.2.1", content(9))
		otherClass.Command.AffectedSOPClassUID = mrStorage
		requests := []dicomtest.Message{otherClass}
		for _, uid := range []string{"", "../../etc/x", "1.2\x00.3", "1." + string(bytes.Repeat([]byte("1"), 63)), "1..2", ".1", "1.", "1.a"} {
			requests = append(requests, storeRequest(2, uid, content(9)))
		}
		requests = append(requests, storeRequest(3, "1.2.2", nil), storeRequest(4, "1.2.3", content(9)))
		statuses := make([]dicomnet.Status, 0, len(requests))
		for _, m := range requests {
			p.SendMessage(m)
			statuses = append(statuses, p.ReadRequest(dicomnet.CStoreRSP).Command.Status)
		}
		assert.Equal(t, []dicomnet.Status{0x0122, 0x0117, 0x0117, 0x0117, 0x0117, 0x0117, 0x0117, 0x0117, 0x0117, 0xA900, 0}, statuses)
		p.SendMessage(getResponse(rq, dicomnet.StatusSuccess, 1))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		g := runGet(t.Context(), a)
		require.NoError(t, g.err)
		assert.Equal(t, map[string][]byte{"1.2.3": content(9)}, g.data)
	})
}

func TestGetTrimsThePaddingOfUIDs(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		p.SendMessage(storeRequest(1, "1.2.3 \x00", content(2)))
		p.ReadRequest(dicomnet.CStoreRSP)
		p.SendMessage(getResponse(rq, dicomnet.StatusSuccess, 1))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		g := runGet(t.Context(), a)
		require.NoError(t, g.err)
		assert.Contains(t, g.data, "1.2.3")
	})
}

func TestGetAbortsAtStoresOnOtherPresentationContexts(t *testing.T) {
	for name, id := range map[string]byte{"not proposed": 99, "of C-GET": getID} {
		t.Run(name, func(t *testing.T) {
			withGet(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadRequest(dicomnet.CGetRQ)
				m := storeRequest(1, "1.2.1", content(9))
				m.ContextID = id
				p.SendMessage(m)
				p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedParameter)
			}, func(t *testing.T, a *dicomnet.Association) {
				g := runGet(t.Context(), a)
				requireProtocolError(t, g.err, dicomnet.StepGet)
				assert.Empty(t, g.received)
				assert.False(t, a.Usable())
			})
		})
	}
}

func TestGetWithoutAPresentationContextSendsNothing(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) { p.Release() }, func(t *testing.T, a *dicomnet.Association) {
		g := runGet(t.Context(), a)
		var none *dicomnet.NoContextError
		require.ErrorAs(t, g.err, &none)
		requireStep(t, g.err, dicomnet.StepGet)
	})
}

func TestGetBreaksByCancellingAfterTheResponse(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		second := storeRequest(2, "1.2", content(longData))
		assert.Equal(t, []dicomnet.Status{0}, store(p, storeRequest(1, "1.1", content(9))))
		p.SendMessage(second)
		assert.Equal(t, dicomnet.StatusProcessingFailure, readStoreResponse(p, second))
		assert.Equal(t, rq.Command.MessageID, p.ReadRequest(dicomnet.CCancelRQ).Command.MessageIDBeingRespondedTo)
		assert.Equal(t, []dicomnet.Status{0x0124, 0x0124}, store(p, storeRequest(3, "1.3", content(longData)), storeRequest(4, "1.4", content(9))))
		p.SendMessage(getResponse(rq, dicomnet.StatusCancel, 1))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		n, reports := 0, []dicomnet.RetrieveReport(nil)
		for in, err := range a.Get(t.Context(), dicomnet.StudyRoot, query(), func(r dicomnet.RetrieveReport) { reports = append(reports, r) }) {
			require.NoError(t, err)
			if n++; n == 2 {
				break
			}
			_, err = io.Copy(io.Discard, in)
			require.NoError(t, err)
		}
		require.Len(t, reports, 1)
		assert.Equal(t, dicomnet.StatusCancel, reports[0].Status)
		assert.True(t, a.Usable())
		assert.False(t, a.Clean())
	})
}

func TestGetAbortsAPeerThatIgnoresTheCancellation(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadRequest(dicomnet.CGetRQ)
		store(p, storeRequest(1, "1.1", content(9)))
		p.ReadRequest(dicomnet.CCancelRQ)
		start := time.Now()
		for i := 0; time.Since(start) < 1900*time.Millisecond; i++ {
			assert.Equal(t, []dicomnet.Status{0x0124}, store(p, storeRequest(2, "1.2", content(9))))
			dicomtest.Wait(100 * time.Millisecond)
		}
		p.ExpectAbort(pdu.SourceUser, 0)
		assert.Equal(t, 2*time.Second, time.Since(start))
	}, func(t *testing.T, a *dicomnet.Association) {
		for range a.Get(t.Context(), dicomnet.StudyRoot, query(), nil) {
			break
		}
		assert.False(t, a.Usable())
	})
}

func TestGetCancelsWhenItsContextIsDone(t *testing.T) {
	gone := errors.New("the caller has gone")
	cases := map[string]struct {
		data []byte // of the instance that is being read when the context is done, by its size
		read bool   // the loop reads the instance
	}{
		"inside an instance that is read":   {content(longData), true},
		"inside an instance that is not":    {content(longData), false},
		"after the last byte of a data set": {content(10), true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			withGet(t, func(p *dicomtest.ScriptedPeer) {
				rq := p.ReadRequest(dicomnet.CGetRQ)
				m := storeRequest(1, "1.1", c.data)
				b := m.Append(nil)
				p.Send(b[:len(b)-5])
				dicomtest.Wait(2 * time.Second)
				p.Send(b[len(b)-5:])
				readStoreResponse(p, m)
				p.ReadRequest(dicomnet.CCancelRQ)
				p.SendMessage(getResponse(rq, dicomnet.StatusCancel, 0))
				p.Release()
			}, func(t *testing.T, a *dicomnet.Association) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(gone) })
				var last error
				final := 0
				for in, err := range a.Get(ctx, dicomnet.StudyRoot, query(), func(dicomnet.RetrieveReport) { final++ }) {
					if last = err; err == nil && c.read {
						_, err = io.Copy(io.Discard, in)
						require.ErrorIs(t, err, gone)
						requireStep(t, err, dicomnet.StepGet)
					}
				}
				require.ErrorIs(t, last, gone)
				assert.Equal(t, 1, final)
				assert.True(t, a.Usable())
			})
		})
	}
}

func TestGetCancelsBetweenInstances(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		store(p, storeRequest(1, "1.1", content(9)))
		p.ReadRequest(dicomnet.CCancelRQ)
		p.SendMessage(getResponse(rq, dicomnet.StatusSuccess, 1)) // it crossed the cancellation
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		g := runGet(ctx, a)
		require.ErrorIs(t, g.err, context.DeadlineExceeded)
		assert.Len(t, g.received, 1)
		assert.Equal(t, dicomnet.StatusSuccess, g.final().Status)
		assert.True(t, a.Usable())
	})
}

// A response in two writes would wait for the acknowledgement of the first: 40 ms an instance.
func TestGetSendsEachResponseInOneWrite(t *testing.T) {
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		acceptGet(p)
		rq := p.ReadRequest(dicomnet.CGetRQ)
		store(p, storeRequest(1, "1.1", content(longData)), storeRequest(2, "1.2", content(9)))
		p.SendMessage(getResponse(rq, dicomnet.StatusSuccess, 2))
		p.Release()
	}, func(t *testing.T, cfg dicomnet.Config) {
		get := retrievalConfig()
		get.DialContext = cfg.DialContext
		rec := record(&get)
		a, err := dicomnet.Dial(t.Context(), "pacs:104", get)
		require.NoError(t, err)
		require.NoError(t, runGet(t.Context(), a).err)
		require.NoError(t, a.Close())
		assert.Len(t, rec.writes, 5, "A-ASSOCIATE-RQ, C-GET-RQ, two C-STORE-RSP, A-RELEASE-RQ")
	})
}
