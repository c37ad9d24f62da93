package sealed

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const prefix = "test-"

func create(t *testing.T, limit int64) *File {
	t.Helper()
	f, err := Create(t.TempDir(), prefix, limit)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func content(n int) []byte {
	data := make([]byte, n, n+Overhead)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	return data
}

func TestBlocksComeBackAsTheyWere(t *testing.T) {
	f := create(t, 1<<20)
	for _, n := range []int{0, 1, minBlock - Overhead, minBlock - Overhead + 1, 50_000, MaxBlock - Overhead} {
		data := content(n)
		want := bytes.Clone(data)
		b, err := f.Put(data)
		require.NoError(t, err)
		assert.Equal(t, n, b.Len())
		assert.Equal(t, b.Size(), f.Used())
		got, err := f.Get(b, make([]byte, MaxBlock))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), n)
		f.Free(b)
		assert.Zero(t, f.Used())
	}
	info, err := f.file.Stat()
	require.NoError(t, err)
	assert.Zero(t, info.Size(), "space that nothing uses goes back to the system")
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestTheFileHoldsNoPlaintext(t *testing.T) {
	f := create(t, 1<<20)
	plain := bytes.Repeat([]byte("Patient^Name"), 1000)
	b, err := f.Put(append(make([]byte, 0, len(plain)+Overhead), plain...))
	require.NoError(t, err)
	stored := make([]byte, b.Size())
	_, _ = f.file.ReadAt(stored, 0)
	assert.NotContains(t, string(stored), "Patient")
	again, err := f.Put(append(make([]byte, 0, len(plain)+Overhead), plain...))
	require.NoError(t, err)
	second := make([]byte, len(plain))
	_, _ = f.file.ReadAt(second, again.offset)
	assert.False(t, bytes.Equal(stored[:len(plain)], second), "equal bytes are encrypted differently")
}

func TestADamagedBlockIsAnError(t *testing.T) {
	f := create(t, 1<<20)
	b, err := f.Put(content(10_000))
	require.NoError(t, err)
	_, err = f.file.WriteAt([]byte("x"), b.offset+5000)
	require.NoError(t, err)
	_, err = f.Get(b, make([]byte, MaxBlock))
	require.ErrorIs(t, err, errDamaged)
	require.NoError(t, f.file.Truncate(0))
	_, err = f.Get(b, make([]byte, MaxBlock))
	require.ErrorContains(t, err, "read a temporary file")
	assert.NotContains(t, err.Error(), f.file.Name())
}

func TestAFileAtItsLimitTakesNoMore(t *testing.T) {
	f := create(t, MaxBlock+minBlock)
	assert.True(t, f.Room())
	b, err := f.Put(content(MaxBlock - Overhead))
	require.NoError(t, err)
	assert.False(t, f.Room())
	data := content(5000)
	want := bytes.Clone(data)
	_, err = f.Put(data)
	full, ok := errors.AsType[*FullError](err)
	require.True(t, ok, err)
	require.NoError(t, full.Cause)
	assert.Equal(t, "the file is at its limit", err.Error())
	assert.True(t, bytes.Equal(want, data))
	_, err = f.Put(content(100))
	require.NoError(t, err, "what still fits")
	f.Free(b)
	_, err = f.Put(data)
	require.NoError(t, err)
}

func TestAWriteThatFailsLeavesTheBytesAsTheyWere(t *testing.T) {
	f := create(t, 1<<20)
	readOnly, err := os.Open(os.DevNull)
	require.NoError(t, err)
	whole := f.file
	f.file = readOnly
	data := content(70_000)
	want := bytes.Clone(data)
	_, err = f.Put(data)
	_, ok := errors.AsType[*FullError](err)
	require.True(t, ok, err)
	require.ErrorIs(t, err, syscall.EBADF)
	assert.NotContains(t, err.Error(), os.DevNull)
	assert.True(t, bytes.Equal(want, data))
	assert.Zero(t, f.Used())
	assert.False(t, f.Room(), "for a moment")
	f.full.Add(-int64(retryAfter) - 1)
	assert.True(t, f.Room())
	f.file = whole
	_, err = f.Put(data)
	require.NoError(t, err)
	assert.Zero(t, f.full.Load())
	require.NoError(t, readOnly.Close())
}

func TestFilesLeftByEarlierProcessesAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd [name]*")
	require.NoError(t, os.Mkdir(dir, 0o700))
	for _, name := range []string{prefix + "123.tmp", "other.tmp", prefix + "123.dcm"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	first, err := Create(dir, prefix, 1<<20)
	require.NoError(t, err)
	b, err := first.Put(content(100))
	require.NoError(t, err)
	second, err := Create(dir, prefix, 1<<20)
	require.NoError(t, err)
	_, err = first.Get(b, make([]byte, MaxBlock))
	require.NoError(t, err, "a file in use stays readable")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	assert.Equal(t, "other.tmp", entries[0].Name())
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
}

func TestAFileThatCannotHaveItsNameRemovedIsRemovedAtTheEnd(t *testing.T) {
	f := create(t, 1<<20)
	f.name = filepath.Join(t.TempDir(), "left")
	require.NoError(t, os.WriteFile(f.name, nil, 0o600))
	require.NoError(t, f.Close())
	assert.NoFileExists(t, f.name)
	_, err := f.Put(content(1))
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestADirectoryThatCannotBeUsedIsAnError(t *testing.T) {
	_, err := Create(filepath.Join(t.TempDir(), "nowhere"), prefix, 1)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestANilFileHasNoRoom(t *testing.T) {
	var f *File
	assert.False(t, f.Room())
	assert.Zero(t, f.Used())
	assert.NoError(t, f.Close())
}

func TestBlocksNeverOverlapAndAreJoinedAgain(t *testing.T) {
	assert.EqualValues(t, orders-1, orderOf(MaxBlock))
	rapid.Check(t, func(t *rapid.T) {
		var b buddies
		type block struct {
			offset int64
			order  uint8
		}
		var taken []block
		owner := map[int64]bool{} // pages
		for _, step := range rapid.SliceOfN(rapid.IntRange(-1, orders-1), 1, 200).Draw(t, "steps") {
			if step < 0 {
				if len(taken) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(taken)-1).Draw(t, "which")
				for page := range int64(1) << taken[i].order {
					delete(owner, taken[i].offset/minBlock+page)
				}
				b.give(taken[i].offset, taken[i].order)
				taken = append(taken[:i], taken[i+1:]...)
				continue
			}
			order := uint8(step)
			offset := b.take(order)
			if offset%(minBlock<<order) != 0 {
				t.Fatalf("offset %d of order %d", offset, order)
			}
			for page := range int64(1) << order {
				if owner[offset/minBlock+page] {
					t.Fatalf("page %d is taken twice", offset/minBlock+page)
				}
				owner[offset/minBlock+page] = true
			}
			taken = append(taken, block{offset, order})
		}
		for _, taken := range taken {
			b.give(taken.offset, taken.order)
		}
		for order := range b.free {
			if order < orders-1 && len(b.free[order]) > 0 {
				t.Fatalf("blocks of order %d are not joined", order)
			}
		}
		if int64(len(b.free[orders-1]))*MaxBlock != b.end {
			t.Fatal("a part of the file is lost")
		}
	})
}

func BenchmarkPut(b *testing.B) {
	f, err := Create(b.TempDir(), prefix, 1<<20)
	require.NoError(b, err)
	defer f.Close()
	data := content(MaxBlock - Overhead)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		block, err := f.Put(data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Get(block, data); err != nil {
			b.Fatal(err)
		}
		f.Free(block)
	}
}
