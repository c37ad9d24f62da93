package budget_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"dicom-qr-gateway/internal/budget"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mebibyte = 1 << 20
	limit    = 32 * mebibyte
	share    = limit / 4
)

func TestAnAllowanceNeedsNoReservation(t *testing.T) {
	b := budget.New(limit, 0)
	a := b.Account("a")
	require.NoError(t, a.Take(t.Context(), budget.Allowance))
	assert.Zero(t, b.Reserved())
	require.NoError(t, a.Take(t.Context(), 1))
	assert.EqualValues(t, share, b.Reserved(), "what grows reserves a share")
	a.Settle()
	assert.Less(t, b.Reserved(), int64(100<<10), "what is settled reserves what it keeps")
	a.Close()
	a.Close()
	assert.Zero(t, b.Reserved())
}

func TestAnOperationGetsNoMoreThanItsShare(t *testing.T) {
	b := budget.New(limit, time.Minute)
	a := b.Account("a")
	require.NoError(t, a.Take(t.Context(), share))
	err := a.Take(t.Context(), budget.Allowance+1)
	tooLarge, ok := errors.AsType[*budget.TooLargeError](err)
	require.True(t, ok, err)
	assert.EqualValues(t, share, tooLarge.Max)
	assert.Equal(t, "the answer needs more than 8 MiB of memory", err.Error())
	require.Error(t, a.Hold(t.Context(), budget.Allowance+1))
	a.Close()
}

func TestACallerCannotTakeTheLastShare(t *testing.T) {
	b := budget.New(limit, 0)
	for range 3 {
		require.NoError(t, b.Account("a").Take(t.Context(), mebibyte))
	}
	err := b.Account("a").Take(t.Context(), mebibyte)
	_, busy := errors.AsType[*budget.BusyError](err)
	require.True(t, busy, err)
	require.NoError(t, b.Account("b").Take(t.Context(), mebibyte))
	require.Error(t, b.Account("c").Take(t.Context(), mebibyte))
}

func TestWaitingOperationsOfCallersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(limit, time.Hour)
		var running []*budget.Account
		for _, name := range []string{"a", "a", "a", "b"} {
			account := b.Account(name)
			require.NoError(t, account.Take(t.Context(), mebibyte))
			running = append(running, account)
		}
		var mu sync.Mutex
		var order []string
		for _, name := range []string{"a", "a", "a", "b", "c"} {
			account := b.Account(name)
			running = append(running, account)
			go func() {
				if assert.NoError(t, account.Take(t.Context(), mebibyte)) {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, name)
				}
			}()
			synctest.Wait()
		}
		assert.Empty(t, order)
		for _, account := range running[:5] {
			account.Close()
			synctest.Wait()
		}
		assert.Equal(t, []string{"a", "b", "c", "a", "a"}, order, "each caller has a turn before one has the second")
		for _, account := range running[5:] {
			account.Close()
		}
		assert.Zero(t, b.Reserved())
	})
}

func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(limit, 5*time.Second)
		for range 3 {
			require.NoError(t, b.Account("a").Take(t.Context(), mebibyte))
		}
		start := time.Now()
		_, busy := errors.AsType[*budget.BusyError](b.Account("a").Take(t.Context(), mebibyte))
		assert.True(t, busy)
		assert.Equal(t, 5*time.Second, time.Since(start))

		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		cancel(gone)
		assert.ErrorIs(t, b.Account("a").Take(ctx, mebibyte), gone)
	})
}

func TestAMessageIsHeldWhileItIsRead(t *testing.T) {
	b := budget.New(limit, 0)
	a := b.Account("a")
	require.NoError(t, a.Take(t.Context(), mebibyte))
	a.Settle()
	kept := b.Reserved()
	require.NoError(t, a.Hold(t.Context(), 2*mebibyte))
	assert.EqualValues(t, share, b.Reserved())
	require.NoError(t, a.Hold(t.Context(), 0))
	assert.Equal(t, kept, b.Reserved())
	a.Close()
}

func TestWhatAnOperationCanDoWithoutIsRefusedAtOnce(t *testing.T) {
	b := budget.New(limit, time.Hour)
	for range 2 {
		require.NoError(t, b.Account("a").Take(t.Context(), mebibyte))
	}
	a := b.Account("a")
	require.NoError(t, a.Take(t.Context(), budget.Allowance))
	taken := 0
	for a.TryTake(100 << 10) {
		taken += 100 << 10
	}
	assert.InDelta(t, share-4*mebibyte, taken, 2*budget.Allowance)
	require.NoError(t, a.Hold(t.Context(), 4*mebibyte), "a message can still be read")
	assert.False(t, b.Account("a").TryTake(mebibyte))
	assert.True(t, b.Account("b").TryTake(mebibyte))
}

func TestNoBudgetLimitsNothing(t *testing.T) {
	var b *budget.Budget
	a := b.Account("a")
	require.NoError(t, a.Take(t.Context(), 1<<40))
	require.NoError(t, a.Hold(t.Context(), 1<<40))
	assert.True(t, a.TryTake(1<<40))
	a.Settle()
	a.Close()
	assert.Zero(t, b.Reserved())
}

func TestReservationsNeverExceedTheLimitAndAreReturned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := budget.New(limit, 0)
		accounts := make([]*budget.Account, 8)
		for i := range accounts {
			accounts[i] = b.Account(string(rune('a' + i%3)))
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			a := rapid.SampledFrom(accounts).Draw(t, "account")
			n := rapid.IntRange(0, 3*mebibyte).Draw(t, "bytes")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				_ = a.Take(context.Background(), n)
			case 1:
				_ = a.TryTake(n)
			case 2:
				_ = a.Hold(context.Background(), n)
			case 3:
				a.Settle()
			case 4:
				_ = a.Hold(context.Background(), 0)
			}
			if b.Reserved() > limit || b.Reserved() < 0 {
				t.Fatal("reserved", b.Reserved())
			}
		}
		for _, a := range accounts {
			a.Close()
		}
		if b.Reserved() != 0 {
			t.Fatal("left", b.Reserved())
		}
	})
}
