package dicomnet_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// command returns the command set of a C-STORE-RQ as a P-DATA-TF.
func command(m dicomtest.Message) []byte {
	return pdu.AppendMessagePart(nil, m.ContextID, true, m.Command.Append(nil), 16384)
}

// fragment returns a P-DATA-TF with a fragment of a data set.
func fragment(b []byte, last bool) []byte {
	return pdu.AppendPDataTF(nil, pdu.PDV{ContextID: ctID, Last: last, Fragment: b})
}

func TestGetReadsMessagesHoweverTheyAreDivided(t *testing.T) {
	for _, most := range []int{1, 2, 7, 100, 1000, 5000} {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprintf("fragments of %d bytes, several in a PDU: %t", most, packed), func(t *testing.T) {
				withGet(t, func(p *dicomtest.ScriptedPeer) {
					rq := p.ReadRequest(dicomnet.CGetRQ)
					var pdvs []byte
					for i, n := range []int{1500, 1, 0, 4001} {
						pdvs = storeRequest(uint16(i), fmt.Sprintf("1.%d", n), content(n)).PDVs(pdvs, most)
						pdvs = getResponse(rq, dicomnet.StatusPending, 1).PDVs(pdvs, most)
					}
					pdvs = getResponse(rq, dicomnet.StatusSuccess, 4).PDVs(pdvs, most)
					if packed {
						p.Send(fullPDUs(nil, pdvs))
					} else {
						p.Send(singlePDUs(nil, pdvs))
					}
					for range 4 {
						assert.Equal(t, dicomnet.StatusSuccess, p.ReadRequest(dicomnet.CStoreRSP).Command.Status)
					}
					p.Release()
				}, func(t *testing.T, a *dicomnet.Association) {
					g := runGet(t.Context(), a)
					require.NoError(t, g.err)
					assert.Len(t, g.reports, 5)
					for _, n := range []int{1500, 1, 0, 4001} {
						assert.Equal(t, content(n), g.data[fmt.Sprintf("1.%d", n)])
					}
				})
			})
		}
	}
}

// singlePDUs appends pdvs to b as PDUs with one PDV each.
func singlePDUs(b, pdvs []byte) []byte {
	for len(pdvs) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(pdvs))
		b = (&pdu.PDataTF{Body: pdvs[:n]}).Append(b)
		pdvs = pdvs[n:]
	}
	return b
}

func TestGetAbortsAtMalformedFragments(t *testing.T) {
	for name, body := range map[string][]byte{
		"a PDV header that is cut off":      {0, 0, 0},
		"a PDV longer than the PDU":         {0, 0, 0, 9, ctID, 0, 1},
		"a PDV of no length":                {0, 0, 0, 0, ctID, 0},
		"a PDV of 4 GiB":                    {0xFF, 0xFF, 0xFF, 0xFF, ctID, 0},
		"rest after the last PDV":           {0, 0, 0, 3, ctID, 0, 7, 1, 2, 3},
		"a command fragment":                {0, 0, 0, 3, ctID, 1, 7},
		"a fragment on another context":     {0, 0, 0, 3, mrID, 0, 7},
		"a fragment on an unknown context":  {0, 0, 0, 3, 200, 0, 7},
		"a PDU longer than the limit":       nil,
		"a PDU of a type that is not known": nil,
	} {
		t.Run(name, func(t *testing.T) {
			withGet(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadRequest(dicomnet.CGetRQ)
				p.Send(command(storeRequest(1, "1.1", content(9))))
				p.Send(fragment(content(30_000)[:10_000], false))
				switch {
				case body != nil:
					p.Send(rawPData(body))
				case name == "a PDU longer than the limit":
					p.Send([]byte{4, 0, 0xFF, 0xFF, 0xFF, 0xFF})
				default:
					p.Send([]byte{9, 0, 0, 0, 0, 0})
				}
				for {
					if kind, _ := p.ReadPDU(); kind == pdu.TypeAbort {
						return
					}
				}
			}, func(t *testing.T, a *dicomnet.Association) {
				g := runGet(t.Context(), a)
				requireProtocolError(t, g.err, dicomnet.StepGet)
				assert.GreaterOrEqual(t, len(g.data["1.1"]), 10_000)
				assert.False(t, a.Usable())
			})
		})
	}
}

func TestGetLimitsTheInstancesOfAPeer(t *testing.T) {
	endless := func(one []byte, pause time.Duration) func(p *dicomtest.ScriptedPeer) {
		return func(p *dicomtest.ScriptedPeer) {
			p.Send(command(storeRequest(1, "1.1", content(9))))
			for {
				if _, err := p.Conn.Write(one); err != nil {
					return
				}
				dicomtest.Wait(pause)
			}
		}
	}
	cases := map[string]struct {
		attack func(p *dicomtest.ScriptedPeer)
		limit  string
	}{
		"a data set without an end":      {endless(fragment(content(16_000), false), 0), "bytes in an instance, at most 8388608"},
		"fragments of one byte":          {endless(fragment([]byte{1}, false), 0), "fragments in a message, at most 4096"},
		"fragments of no byte":           {endless(fragment(nil, false), 0), "empty fragments in a message, at most 64"},
		"P-DATA-TF PDUs without a PDV":   {endless(rawPData(nil), 0), "empty fragments in a message, at most 64"},
		"1,000,000 instances of no name": {nil, "refused instances, at most 1000"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			withPeerBuffering(t, 256<<10, func(p *dicomtest.ScriptedPeer) {
				acceptGet(p)
				p.ReadRequest(dicomnet.CGetRQ)
				if c.attack != nil {
					c.attack(p)
					return
				}
				for {
					if _, err := p.Conn.Write(storeRequest(1, "", content(9)).Append(nil)); err != nil {
						return
					}
					if kind, _ := p.ReadPDU(); kind == pdu.TypeAbort {
						return
					}
				}
			}, func(t *testing.T, cfg dicomnet.Config) {
				get := retrievalConfig()
				get.DialContext = cfg.DialContext
				get.Limits.MaxInstance = 8 << 20
				a, err := dicomnet.Dial(t.Context(), "pacs:104", get)
				require.NoError(t, err)
				var last error
				for in, err := range a.Get(t.Context(), dicomnet.StudyRoot, query(), nil) {
					if last = err; err == nil {
						_, _ = io.Copy(io.Discard, in)
					}
				}
				var limit *dicomnet.LimitError
				require.ErrorAs(t, last, &limit)
				assert.Contains(t, limit.Error(), c.limit)
				assert.False(t, a.Usable())
			})
		})
	}
}

func TestGetBoundsTheSilenceInsideAnInstance(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadRequest(dicomnet.CGetRQ)
		p.Send(command(storeRequest(1, "1.1", content(9))))
		for range 20 { // longer than all timeouts
			dicomtest.Wait(timeouts.Network - time.Second)
			p.Send(fragment(content(5000), false))
		}
		start := time.Now()
		p.Send([]byte{4, 0, 0})
		p.ExpectAbort(pdu.SourceUser, 0)
		assert.Equal(t, timeouts.Network, time.Since(start))
	}, func(t *testing.T, a *dicomnet.Association) {
		g := runGet(t.Context(), a)
		requireTimeout(t, g.err, dicomnet.TimerNetwork)
		requireStep(t, g.err, dicomnet.StepGet)
		assert.Len(t, g.data["1.1"], 100_000)
	})
}

func TestGetBoundsTheWaitBetweenInstances(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		for i := range 3 {
			dicomtest.Wait(timeouts.DIMSE - time.Second)
			store(p, storeRequest(1, fmt.Sprint("1.", i), content(9)))
		}
		dicomtest.Wait(timeouts.DIMSE - time.Second)
		p.SendMessage(getResponse(rq, dicomnet.StatusPending, 3))
		start := time.Now()
		p.ExpectAbort(pdu.SourceUser, 0)
		assert.Equal(t, timeouts.DIMSE, time.Since(start))
	}, func(t *testing.T, a *dicomnet.Association) {
		g := runGet(t.Context(), a)
		requireTimeout(t, g.err, dicomnet.TimerDIMSE)
		assert.Len(t, g.received, 3)
	})
}

func TestGetOfBytesThatTrickleEndsWithItsContext(t *testing.T) {
	gone := errors.New("total deadline")
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadRequest(dicomnet.CGetRQ)
		p.Send(command(storeRequest(1, "1.1", content(9))))
		for {
			if _, err := p.Conn.Write(fragment([]byte{1, 2}, false)); err != nil {
				return
			}
			dicomtest.Wait(time.Second)
		}
	}, func(t *testing.T, a *dicomnet.Association) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, gone)
		defer cancel()
		start := time.Now()
		g := runGet(ctx, a)
		require.ErrorIs(t, g.err, gone)
		assert.Equal(t, time.Minute+2*time.Second, time.Since(start), "with the grace of the cancellation")
		assert.False(t, a.Usable())
	})
}

func TestGetKeepsWhatWasCompleteBeforeTheAssociationEnded(t *testing.T) {
	ends := map[string]struct {
		end   func(p *dicomtest.ScriptedPeer)
		check func(t *testing.T, err error)
	}{
		"close": {func(p *dicomtest.ScriptedPeer) {}, func(t *testing.T, err error) {
			t.Helper()
			require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		}},
		"abort": {func(p *dicomtest.ScriptedPeer) { p.SendPDU(&pdu.Abort{Source: 2, Reason: 6}) }, func(t *testing.T, err error) {
			t.Helper()
			var abort *dicomnet.AbortError
			require.ErrorAs(t, err, &abort)
			assert.True(t, abort.Remote)
		}},
		"inside a PDV": {func(p *dicomtest.ScriptedPeer) {
			p.Send(fragment(content(60_000), true)[:30_000])
		}, func(t *testing.T, err error) {
			t.Helper()
			require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		}},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			withGet(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadRequest(dicomnet.CGetRQ)
				store(p, storeRequest(1, "1.1", content(20_000)))
				p.Send(command(storeRequest(1, "1.2", content(9))))
				p.Send(fragment(content(10_000), false))
				end.end(p)
			}, func(t *testing.T, a *dicomnet.Association) {
				g := runGet(t.Context(), a)
				end.check(t, g.err)
				requireStep(t, g.err, dicomnet.StepGet)
				assert.Equal(t, content(20_000), g.data["1.1"])
				assert.GreaterOrEqual(t, len(g.data["1.2"]), 10_000)
			})
		})
	}
}

func TestInstanceIsUnusableAfterItsIteration(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		store(p, storeRequest(1, "1.1", content(20_000)))
		p.SendMessage(getResponse(rq, dicomnet.StatusSuccess, 1))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		var kept *dicomnet.Instance
		for in, err := range a.Get(t.Context(), dicomnet.StudyRoot, query(), nil) {
			require.NoError(t, err)
			kept = in
		}
		_, err := kept.Read(make([]byte, 10))
		require.ErrorIs(t, err, dicomnet.ErrClosed)
		_, err = kept.WriteTo(io.Discard)
		require.ErrorIs(t, err, dicomnet.ErrClosed)
	})
}

// brokenWriter fails after it has taken some bytes.
type brokenWriter struct{ left int }

var errBroken = errors.New("broken")

func (w *brokenWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	if w.left -= n; n < len(p) {
		return n, errBroken
	}
	return n, nil
}

func TestInstanceReportsTheErrorOfAWriter(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		assert.Equal(t, []dicomnet.Status{0x0110, 0}, store(p, storeRequest(1, "1.1", content(50_000)), storeRequest(1, "1.2", content(50_000))))
		p.SendMessage(getResponse(rq, dicomnet.StatusWarning, 1))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		for in, err := range a.Get(t.Context(), dicomnet.StudyRoot, query(), nil) {
			require.NoError(t, err)
			if in.SOPInstanceUID == "1.1" {
				n, err := in.WriteTo(&brokenWriter{left: 20_000})
				require.ErrorIs(t, err, errBroken)
				assert.Equal(t, int64(20_000), n)
				continue
			}
			n, err := in.WriteTo(&brokenWriter{left: 20_000})
			require.ErrorIs(t, err, errBroken)
			rest, err := io.ReadAll(in)
			require.NoError(t, err)
			assert.Equal(t, content(50_000)[n:], rest, "what the writer did not take can still be read")
		}
	})
}

func TestServerAbortsAFloodOfInstancesThatItRefuses(t *testing.T) {
	var received []receivedInstance
	s := receiver(&received)
	serveScript(t, s, func(p *dicomtest.ScriptedPeer) {
		for range 1000 {
			p.SendMessage(storeRequest(1, "", content(9)))
			assert.Equal(t, dicomnet.StatusInvalidInstance, p.ReadRequest(dicomnet.CStoreRSP).Command.Status)
		}
		p.SendMessage(storeRequest(1, "", content(9)))
		p.ExpectAbort(pdu.SourceUser, 0)
	})
	assert.Empty(t, received)
}

func TestGetOverLoopbackStartsReadingPastTheBuffer(t *testing.T) {
	data := content(3 << 20)
	address := listenOnLoopback(t, func(p *dicomtest.ScriptedPeer) {
		acceptGet(p)
		rq := p.ReadRequest(dicomnet.CGetRQ)
		m := storeRequest(1, "1.1", data)
		p.Send(pdu.AppendMessagePart(command(m), ctID, false, data, 131072))
		readStoreResponse(p, m)
		p.SendMessage(getResponse(rq, dicomnet.StatusSuccess, 1))
		p.Release()
	})
	cfg := retrievalConfig()
	counting := &countingConn{}
	cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		counting.Conn = conn
		return counting, err
	}
	a, err := dicomnet.Dial(t.Context(), address, cfg)
	require.NoError(t, err)
	buffer := make([]byte, 256<<10)
	for in, err := range a.Get(t.Context(), dicomnet.StudyRoot, query(), nil) {
		require.NoError(t, err)
		var got []byte
		for {
			n, err := in.Read(buffer)
			if got = append(got, buffer[:n]...); err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
		}
		assert.Equal(t, data, got)
	}
	require.NoError(t, a.Close())
	assert.Greater(t, counting.longest, 16390, "the longest buffer that the connection has read into")
}

// countingConn records the longest buffer of a read.
type countingConn struct {
	net.Conn
	longest int
}

func (c *countingConn) Read(p []byte) (int, error) {
	c.longest = max(c.longest, len(p))
	return c.Conn.Read(p)
}

func TestGetBoundsTheSilenceInsideAnInstanceThatIsDropped(t *testing.T) {
	for name, uid := range map[string]string{"not read": "1.1", "refused": ""} {
		t.Run(name, func(t *testing.T) {
			withGet(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadRequest(dicomnet.CGetRQ)
				p.Send(command(storeRequest(1, uid, content(9))))
				p.Send(fragment(content(60_000), true)[:30_000])
				p.ExpectAbort(pdu.SourceUser, 0)
			}, func(t *testing.T, a *dicomnet.Association) {
				var last error
				for _, err := range a.Get(t.Context(), dicomnet.StudyRoot, query(), nil) {
					last = err
				}
				requireTimeout(t, last, dicomnet.TimerNetwork)
				requireStep(t, last, dicomnet.StepGet)
			})
		})
	}
}

func TestGetIsCancelledInsideAnInstanceThatItRefuses(t *testing.T) {
	withGet(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CGetRQ)
		p.Send(command(storeRequest(1, "", content(9))))
		b := fragment(content(60_000), true)
		p.Send(b[:30_000])
		dicomtest.Wait(2 * time.Second)
		p.Send(b[30_000:])
		assert.Equal(t, dicomnet.StatusInvalidInstance, p.ReadRequest(dicomnet.CStoreRSP).Command.Status)
		p.ReadRequest(dicomnet.CCancelRQ)
		p.SendMessage(getResponse(rq, dicomnet.StatusCancel, 0))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		g := runGet(ctx, a)
		require.ErrorIs(t, g.err, context.DeadlineExceeded)
		assert.Empty(t, g.received)
		assert.True(t, a.Usable())
	})
}

func TestGetReportsListsOfFailedInstancesAsTheyAre(t *testing.T) {
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprint("1.2.", i)
	}
	for name, c := range map[string]struct {
		data []byte
		want []string
	}{
		"10,000 UIDs":        {failedList(many...), many},
		"no UID":             {failedList(), nil},
		"no list":            {nil, nil},
		"a value cut off":    {failedList("1.2.3")[:10], nil},
		"an element cut off": {[]byte{8, 0, 0x58}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			withGet(t, func(p *dicomtest.ScriptedPeer) {
				rq := p.ReadRequest(dicomnet.CGetRQ)
				p.SendMessage(dicomtest.Response(rq, dicomnet.StatusWarning, c.data))
				p.Release()
			}, func(t *testing.T, a *dicomnet.Association) {
				g := runGet(t.Context(), a)
				require.NoError(t, g.err)
				assert.Equal(t, c.want, g.final().FailedSOPInstanceUIDs)
			})
		})
	}
}
