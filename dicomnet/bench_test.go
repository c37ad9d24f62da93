package dicomnet_test

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// canned serves C-FIND after C-FIND with so many matches, without reading what is
// asked.
func canned(matches int) func(p *dicomtest.Peer) {
	return func(p *dicomtest.Peer) {
		p.Accept()
		rq := p.ReadRequest(dicomnet.CFindRQ)
		one := match("1.2.840.113619.2.1")
		for {
			var b []byte
			for range matches {
				b = dicomtest.Response(rq, dicomnet.StatusPending, one).Append(b)
			}
			p.Send(dicomtest.Response(rq, dicomnet.StatusSuccess, nil).Append(b))
			if _, err := p.Conn.Read(make([]byte, 1<<10)); err != nil {
				return
			}
			if rq.Command.MessageID++; rq.Command.MessageID == 0 {
				rq.Command.MessageID = 1
			}
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for _, matches := range []int{1, 10, 100, 1000, 5000} {
		b.Run(strconv.Itoa(matches), func(b *testing.B) {
			script := &dicomtest.Script{Play: canned(matches)}
			address, closeFn, err := script.Listen()
			require.NoError(b, err)
			defer closeFn()
			a, err := dicomnet.Dial(b.Context(), address, config())
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for m, err := range a.Find(b.Context(), dicomnet.StudyRoot, query()) {
					if err != nil {
						b.Fatal(err)
					}
					if m.String(tag.StudyInstanceUID) != "" {
						n++
					}
				}
				if n != matches {
					b.Fatalf("%d matches", n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*matches), "ns/match")
			a.Abort()
		})
	}
}

func BenchmarkDialEchoClose(b *testing.B) {
	script := &dicomtest.Script{Play: func(p *dicomtest.Peer) {
		p.Accept()
		p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CEchoRQ), dicomnet.StatusSuccess, nil))
		p.Release()
	}}
	address, closeFn, err := script.Listen()
	require.NoError(b, err)
	defer closeFn()
	b.ReportAllocs()
	for b.Loop() {
		a, err := dicomnet.Dial(b.Context(), address, config())
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Echo(b.Context()); err != nil {
			b.Fatal(err)
		}
		_ = a.Close()
	}
}

// TestMatchesLeaveNoMemoryBehind compares what is on the heap after a few
// matches and after thousands more, while the loop is still going on.
func TestMatchesLeaveNoMemoryBehind(t *testing.T) {
	const matches = 20_000
	associated(t, func(p *dicomtest.Peer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		one := dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")).Append(nil)
		for range matches {
			p.Send(one)
		}
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		var early, late runtime.MemStats
		n := 0
		for _, err := range a.Find(t.Context(), dicomnet.StudyRoot, query()) {
			require.NoError(t, err)
			switch n++; n {
			case 10:
				dicomtest.Wait(time.Second) // until all that the peer sends is on its way
				runtime.GC()
				runtime.ReadMemStats(&early)
			case matches:
				runtime.GC()
				runtime.ReadMemStats(&late)
			}
		}
		require.Equal(t, matches, n)
		require.Less(t, late.HeapAlloc, early.HeapAlloc+1<<20)
	})
}
