//go:build crash

package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// folder is where nats-server is built.
var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "crash"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := rig.Main(m)
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

// number returns the number in an environment variable.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// random is a random number generator for several goroutines.
type random struct {
	mu sync.Mutex
	r  *rand.Rand
}

// newRandom returns a generator with the seed of CRASH_SEED, or another one at each run, which the log of the test shows.
func newRandom(t *testing.T) *random {
	t.Helper()
	seed := number(t, "CRASH_SEED", int(time.Now().UnixNano()%1_000_000_000))
	t.Logf("CRASH_SEED=%d", seed)
	return &random{r: rand.New(rand.NewPCG(uint64(seed), 0))}
}

// below returns a number from 0 to n-1.
func (r *random) below(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.IntN(n)
}

// upTo returns a duration up to d.
func (r *random) upTo(d time.Duration) time.Duration { return time.Duration(r.below(int(d) + 1)) }
