package pool_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
	"dicom-qr-gateway/server/problem"
)

func parseAllowlist(t *testing.T, list string) *pool.Allowlist {
	t.Helper()
	a, err := pool.ParseAllowlist(list)
	require.NoError(t, err)
	return a
}

// The name server returns an address that is permitted and then one that is not.
func TestNameIsResolvedOnceAnOperation(t *testing.T) {
	var dialled []string
	lookups := 0
	p := &dicomtest.ScriptedPACS{
		Studies: []dicomtest.Attributes{study("P1", "1.1"), study("P1", "1.2"), study("P1", "1.3")},
		Move:    func(a *association, _ string) { a.Abort() },
	}
	g := qrtest.For(p, qrtest.Options{
		Allow: parseAllowlist(t, "192.0.2.0/24"),
		LookupHost: func(context.Context, string) ([]string, error) {
			lookups++
			return [][]string{{"192.0.2.7"}, {"127.0.0.1"}}[min(lookups, 2)-1], nil
		},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			return p.DialContext(ctx, network, address)
		},
	})
	result, err := g.Retrieve(t.Context(), qr.Call{}, qrtest.PACS, qr.Filter{PatientID: "P1"}, "DEST")
	require.NoError(t, err)
	assert.Zero(t, result.Succeeded())
	assert.Equal(t, []string{"192.0.2.7:104", "192.0.2.7:104"}, dialled, "the second association goes to the same address")
	assert.Equal(t, 1, lookups)

	var refused *pool.NotAllowedError
	require.ErrorAs(t, qrtest.Query(t.Context(), g), &refused, "the next operation resolves again")
	assert.Len(t, dialled, 2)
	qrtest.Events(t, p, g)
}

func TestPeerThatIsNotAllowedFailsTheSameWhetherOrNotItsNameExists(t *testing.T) {
	unknown := func(context.Context, string) ([]string, error) {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	slow := func(ctx context.Context, _ string) ([]string, error) { <-ctx.Done(); return nil, ctx.Err() }
	never := func(context.Context, string) ([]string, error) {
		panic("looked up a name that no entry can permit")
	}
	for _, test := range []struct {
		list   string
		lookup func(context.Context, string) ([]string, error)
	}{
		{"192.0.2.0/24", unknown},
		{"192.0.2.0/24", qrtest.Lookup("198.51.100.1")},
		{"192.0.2.0/24", slow},
		{"192.0.2.0/24:11112", never},
		{"other.example", never},
		{"pacs.example:11112", never},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := qrtest.New(qrtest.Options{
				Allow: parseAllowlist(t, test.list), LookupHost: test.lookup, DialContext: qrtest.NoDial,
				Timeouts: dicomnet.Timeouts{Connection: qrtest.Timeout},
			})
			err := qrtest.Query(t.Context(), g)
			assert.Equal(t, &dicomnet.OpError{Step: dicomnet.StepConnect, Err: &pool.NotAllowedError{}}, err)
			assert.EqualError(t, err, "connect: not allowed")
			report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
			assert.Equal(t, []string{"resolve failed"}, qrtest.Outcomes(report))
			assert.Empty(t, report.Steps[0].Addresses)
			assert.Contains(t, problem.EchoHint(report, 0, false), "PACS_ALLOWLIST")
			var refused *pool.NotAllowedError
			assert.ErrorAs(t, report.Err, &refused)
		})
	}
	t.Run("a listed name without an address fails with the DNS error", func(t *testing.T) {
		g := qrtest.New(qrtest.Options{Allow: parseAllowlist(t, "pacs.example"), LookupHost: unknown, DialContext: qrtest.NoDial})
		var dns *net.DNSError
		assert.ErrorAs(t, qrtest.Query(t.Context(), g), &dns)
	})
	t.Run("a cancelled lookup fails with the cancellation", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := qrtest.New(qrtest.Options{
			Allow: parseAllowlist(t, "192.0.2.0/24"),
			LookupHost: func(context.Context, string) ([]string, error) {
				cancel()
				return nil, errors.New("interrupted")
			},
		})
		assert.ErrorIs(t, qrtest.Query(ctx, g), context.Canceled)
	})
}

func TestNumberOfAddressesDialledIsBounded(t *testing.T) {
	addresses := []string{"not an address", "::ffff:198.51.100.0"}
	for i := range 100 {
		addresses = append(addresses, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String())
	}
	var dialled []string
	g := qrtest.New(qrtest.Options{
		LookupHost: qrtest.Lookup(addresses...),
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			return nil, errors.New("refused")
		},
	})
	report := g.Echo(t.Context(), qr.Call{}, qrtest.PACS)
	qrtest.FailedStep(t, report)
	assert.Len(t, dialled, pool.MaxAddresses)
	assert.Len(t, report.Steps[0].Addresses, pool.MaxAddresses)
	assert.Equal(t, "198.51.100.0", report.Steps[0].Addresses[0], "listed once, although the name server returned it in two forms")
	assert.Equal(t, "198.51.100.1", report.Steps[0].Addresses[1])
}
