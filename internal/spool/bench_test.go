package spool_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/spool"
)

// BenchmarkSpool passes CT slices of 512 KiB, in fragments as a PACS sends them, to a reader as fast as it takes them.
func BenchmarkSpool(b *testing.B) {
	for name, settings := range map[string]spool.Settings{
		"memory": {},
		"file":   {Dir: b.TempDir(), MemoryEach: 1},
	} {
		b.Run(name, func(b *testing.B) {
			l := newSpool(b, settings).NewLog()
			defer l.Discard(errGone)
			r := open(b, l)
			fragment := pattern(1, 131_000)
			b.SetBytes(int64(4 * len(fragment)))
			b.ReportAllocs()
			go func() {
				for range b.N {
					w := l.Append(b.Context(), entry("1.2.3"))
					for range 4 {
						_, _ = w.Write(fragment)
					}
					_ = w.Commit()
				}
				l.Close(nil)
			}()
			for in, err := range r.All(b.Context()) {
				require.NoError(b, err)
				_, err = in.WriteTo(writerFunc(func(p []byte) (int, error) { return len(p), nil }))
				require.NoError(b, err)
			}
		})
	}
}
