package cache_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dicom-qr-gateway/dicomnet/part10"
	"dicom-qr-gateway/internal/cache"
	"dicom-qr-gateway/internal/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kibibyte = 1 << 10
	mebibyte = 1 << 20
	pacs     = "main"
	policy   = "any"
)

func newCache(t *testing.T, settings cache.Settings) *cache.Cache {
	t.Helper()
	settings.TTL = max(settings.TTL, time.Minute)
	c, err := cache.New(settings)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		assert.Zero(t, c.Stats().Bytes, "everything is freed")
	})
	return c
}

func key(uid string) cache.Key { return cache.Key{PACS: pacs, SOPInstanceUID: uid, Policy: policy} }

func wanted(uids ...string) []cache.Wanted {
	var all []cache.Wanted
	for _, uid := range uids {
		all = append(all, cache.Wanted{SOPInstanceUID: uid, Mark: cache.Mark{1}})
	}
	return all
}

func pattern(seed, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(data)
	return data
}

func store(t *testing.T, c *cache.Cache, uid string, data []byte) {
	t.Helper()
	w := c.Add(key(uid), cache.Mark{1}, spool.Entry{Meta: part10.Meta{SOPInstanceUID: uid}})
	for len(data) > 0 {
		n, err := w.Write(data[:min(len(data), 50_000)])
		require.NoError(t, err)
		data = data[n:]
	}
	w.Commit()
	w.Abort()
}

func has(t *testing.T, c *cache.Cache, uids ...string) bool {
	t.Helper()
	items, ok := c.Get(pacs, policy, wanted(uids...))
	for _, item := range items {
		item.Release()
	}
	return ok
}

func TestInstancesComeBackAsTheyWere(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, cache.Settings{Size: 8 * mebibyte, Dir: dir})
			sizes := []int{0, 1, 128*kibibyte - 16, 128 * kibibyte, 700 * kibibyte}
			var uids []string
			for i, size := range sizes {
				uids = append(uids, strconv.Itoa(i))
				store(t, c, uids[i], pattern(i, size))
			}
			items, ok := c.Get(pacs, policy, wanted(uids...))
			require.True(t, ok)
			for i, item := range items {
				assert.Equal(t, uids[i], item.Entry().SOPInstanceUID)
				assert.EqualValues(t, sizes[i], item.Size())
				var got bytes.Buffer
				head := make([]byte, min(10, sizes[i]))
				_, err := io.ReadFull(item, head)
				require.NoError(t, err)
				got.Write(head)
				if i%2 == 0 {
					_, err = item.WriteTo(&got)
				} else {
					_, err = io.Copy(&got, struct{ io.Reader }{item})
				}
				require.NoError(t, err)
				assert.True(t, bytes.Equal(pattern(i, sizes[i]), got.Bytes()), i)
				item.Release()
				item.Release()
				_, err = item.Read(make([]byte, 1))
				require.ErrorIs(t, err, spool.ErrStale)
				_, err = item.WriteTo(io.Discard)
				require.ErrorIs(t, err, spool.ErrStale)
			}
			stats := c.Stats()
			assert.EqualValues(t, 5, stats.Hits)
			assert.EqualValues(t, 5, stats.Instances)
			assert.GreaterOrEqual(t, stats.Bytes, int64(900*kibibyte))
			size, ok := c.Size(key("4"))
			assert.True(t, ok)
			assert.EqualValues(t, 700*kibibyte, size)
		})
	}
}

func TestKeysDifferByPACSInstanceAndPolicy(t *testing.T) {
	c := newCache(t, cache.Settings{Size: mebibyte})
	store(t, c, "1", pattern(1, 10))
	_, ok := c.Get("other", policy, wanted("1"))
	assert.False(t, ok)
	_, ok = c.Get(pacs, "uncompressed", wanted("1"))
	assert.False(t, ok)
	assert.False(t, has(t, c, "1", "2"), "all or nothing")
	assert.False(t, has(t, c), "nothing is not a hit")
	assert.True(t, has(t, c, "1"))
	assert.EqualValues(t, 3, c.Stats().Misses)
	_, ok = c.Size(key("2"))
	assert.False(t, ok)
}

func TestAnInstanceWithOtherAttributesThanThePACSListsIsRemoved(t *testing.T) {
	c := newCache(t, cache.Settings{Size: mebibyte})
	store(t, c, "1", pattern(1, 10))
	store(t, c, "2", pattern(2, 10))
	corrected := wanted("1", "2")
	corrected[0].Mark = cache.Mark{2}
	_, ok := c.Get(pacs, policy, corrected)
	assert.False(t, ok)
	assert.False(t, has(t, c, "1"))
	assert.True(t, has(t, c, "2"))
	assert.EqualValues(t, 1, c.Stats().Outdated)
}

func TestTheLeastRecentlyUsedInstancesMakeRoom(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, cache.Settings{Size: mebibyte, Dir: dir})
			for i := range 4 {
				store(t, c, strconv.Itoa(i), pattern(i, 200*kibibyte))
			}
			assert.True(t, has(t, c, "0"))
			store(t, c, "4", pattern(4, 500*kibibyte))
			assert.True(t, has(t, c, "0", "3", "4"))
			assert.False(t, has(t, c, "1"))
			assert.False(t, has(t, c, "2"))
			assert.EqualValues(t, 2, c.Stats().Evicted)
			assert.LessOrEqual(t, c.Stats().Bytes, int64(mebibyte))
		})
	}
}

func TestAnInstanceInUseStaysReadableAndCounts(t *testing.T) {
	c := newCache(t, cache.Settings{Size: mebibyte})
	store(t, c, "1", pattern(1, 400*kibibyte))
	items, ok := c.Get(pacs, policy, wanted("1"))
	require.True(t, ok)
	store(t, c, "1", pattern(2, 400*kibibyte)) // a newer version
	store(t, c, "3", pattern(3, 400*kibibyte))
	assert.True(t, has(t, c, "3"))
	store(t, c, "4", pattern(4, 400*kibibyte))
	assert.False(t, has(t, c, "3"))
	var got bytes.Buffer
	_, err := items[0].WriteTo(&got)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(pattern(1, 400*kibibyte), got.Bytes()))
	items[0].Release()
	assert.True(t, has(t, c, "4"))
}

func TestWhatHasNoRoomIsNotKept(t *testing.T) {
	c := newCache(t, cache.Settings{Size: mebibyte})
	store(t, c, "1", pattern(1, 10))
	store(t, c, "large", pattern(2, 600*kibibyte))
	assert.False(t, has(t, c, "large"), "one instance does not replace all others")
	assert.True(t, has(t, c, "1"))
	for i := range 3 {
		store(t, c, strconv.Itoa(i), pattern(i, 330*kibibyte))
	}
	items, ok := c.Get(pacs, policy, wanted("0", "1", "2"))
	require.True(t, ok)
	store(t, c, "3", pattern(3, 330*kibibyte))
	assert.False(t, has(t, c, "3"), "everything else is in use")
	for _, item := range items {
		item.Release()
	}
	assert.True(t, c.Fits(700*kibibyte))
	assert.False(t, c.Fits(900*kibibyte))
}

func TestAnAbortedInstanceIsNotKept(t *testing.T) {
	c := newCache(t, cache.Settings{Size: mebibyte})
	w := c.Add(key("1"), cache.Mark{1}, spool.Entry{})
	_, _ = w.Write(pattern(1, 300*kibibyte))
	assert.Positive(t, c.Stats().Bytes)
	w.Abort()
	w.Commit()
	assert.Zero(t, c.Stats().Bytes)
	assert.False(t, has(t, c, "1"))
}

func TestInstancesAreGoneAfterTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := cache.New(cache.Settings{Size: mebibyte, TTL: time.Minute})
		require.NoError(t, err)
		store(t, c, "1", pattern(1, 10))
		time.Sleep(40 * time.Second)
		store(t, c, "2", pattern(2, 10))
		time.Sleep(19 * time.Second)
		assert.True(t, has(t, c, "1"))
		time.Sleep(2 * time.Second)
		assert.EqualValues(t, 1, c.Stats().Instances, "also if nobody asks for it")
		assert.True(t, has(t, c, "2"))
		time.Sleep(time.Minute)
		assert.Zero(t, c.Stats().Bytes)
		assert.EqualValues(t, 2, c.Stats().Outdated)
		store(t, c, "3", pattern(3, 10))
		require.NoError(t, c.Close())
		assert.Zero(t, c.Stats().Bytes)
		store(t, c, "4", pattern(4, 10))
		assert.Zero(t, c.Stats().Bytes)
	})
}

func TestAwaitEndsWhenTheInstanceIsComplete(t *testing.T) {
	c := newCache(t, cache.Settings{Size: mebibyte})
	first, forgetFirst := c.Await(key("1"))
	second, forgetSecond := c.Await(key("1"))
	_, forgetThird := c.Await(key("1"))
	forgetSecond()
	w := c.Add(key("1"), cache.Mark{1}, spool.Entry{})
	_, _ = w.Write(pattern(1, 100))
	select {
	case <-first:
		t.Fatal("the instance is not complete")
	default:
	}
	w.Commit()
	<-first
	forgetFirst()
	forgetThird()
	select {
	case <-second:
		t.Fatal("it was forgotten")
	default:
	}
	present, forget := c.Await(key("1"))
	<-present
	forget()
}

func TestANilCacheHoldsNothing(t *testing.T) {
	c, err := cache.New(cache.Settings{})
	require.NoError(t, err)
	require.Nil(t, c)
	w := c.Add(key("1"), cache.Mark{}, spool.Entry{})
	n, err := w.Write(make([]byte, 10))
	require.NoError(t, err)
	assert.Equal(t, 10, n)
	w.Commit()
	w.Abort()
	assert.False(t, has(t, c, "1"))
	assert.False(t, c.Fits(1))
	assert.Zero(t, c.Stats())
	_, ok := c.Size(key("1"))
	assert.False(t, ok)
	require.NoError(t, c.Close())
}

func TestACacheNeedsItsDirectory(t *testing.T) {
	_, err := cache.New(cache.Settings{Size: mebibyte, Dir: t.TempDir() + "/nowhere"})
	require.ErrorIs(t, err, os.ErrNotExist)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("the caller has left")

func TestACallerThatFailsEndsWriteTo(t *testing.T) {
	c := newCache(t, cache.Settings{Size: mebibyte})
	store(t, c, "1", pattern(1, 10))
	items, ok := c.Get(pacs, policy, wanted("1"))
	require.True(t, ok)
	_, err := items[0].WriteTo(broken{})
	require.ErrorIs(t, err, errBroken)
	n, err := items[0].Read(nil)
	require.NoError(t, err)
	assert.Zero(t, n)
	items[0].Release()
}

// TestManyCallersAgree lets writers and readers use a cache that is too small for all, and compares every byte.
func TestManyCallersAgree(t *testing.T) {
	c := newCache(t, cache.Settings{Size: 2 * mebibyte, Dir: t.TempDir()})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for round := range 40 {
				i := (round*7 + g*3) % 20
				uid, data := strconv.Itoa(i), pattern(i, i*15_000)
				items, ok := c.Get(pacs, policy, wanted(uid))
				if !ok {
					store(t, c, uid, data)
					continue
				}
				var got bytes.Buffer
				_, err := items[0].WriteTo(&got)
				assert.NoError(t, err)
				assert.True(t, bytes.Equal(data, got.Bytes()))
				items[0].Release()
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, c.Stats().Bytes, int64(2*mebibyte))
	assert.Positive(t, c.Stats().Hits)
}
