package qr

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
)

func allowing(t *testing.T, list string) *Allowlist {
	t.Helper()
	a, err := ParseAllowlist(list)
	require.NoError(t, err)
	return a
}

func TestWhatAnAllowlistPermits(t *testing.T) {
	for _, test := range []struct {
		list, host string
		port       uint16
		addresses  string // what host stands for
		want       bool
	}{
		{"192.0.2.0/24", "192.0.2.7", 104, "192.0.2.7", true},
		{"192.0.2.0/24", "192.0.3.7", 104, "192.0.3.7", false},
		{"192.0.2.0/24", "pacs", 104, "192.0.2.7", true},
		{"192.0.2.0/24", "pacs", 104, "192.0.2.7 192.0.3.7", false},
		{"192.0.2.0/24, 192.0.3.7", "pacs", 104, "192.0.2.7 192.0.3.7", true},
		{"192.0.2.0/24:104", "pacs", 104, "192.0.2.7", true},
		{"192.0.2.0/24:104", "pacs", 105, "192.0.2.7", false},
		{"192.0.2.7:104", "192.0.2.7", 104, "192.0.2.7", true},
		{"192.0.2.7:104", "192.0.2.7", 11112, "192.0.2.7", false},
		{"192.0.2.7:104", "192.0.2.8", 104, "192.0.2.8", false},
		{"192.0.2.7:104,192.0.2.7:105", "192.0.2.7", 105, "192.0.2.7", true},

		// An IPv4 address is one in whatever guise.
		{"192.0.2.0/24", "::ffff:192.0.2.7", 104, "::ffff:192.0.2.7", true},
		{"10.0.0.0/8", "::ffff:127.0.0.1", 104, "::ffff:127.0.0.1", false},
		{"::ffff:192.0.2.0/120", "192.0.2.7", 104, "192.0.2.7", true},
		{"::ffff:192.0.2.7", "192.0.2.7", 104, "192.0.2.7", true},
		{"::/0", "192.0.2.7", 104, "192.0.2.7", false},
		{"::/0", "::ffff:192.0.2.7", 104, "::ffff:192.0.2.7", false},
		{"0.0.0.0/0", "2001:db8::7", 104, "2001:db8::7", false},

		{"2001:db8::/32", "2001:db8::7", 104, "2001:db8::7", true},
		{"[2001:db8::7]:104", "2001:db8:0::7", 104, "2001:db8::7", true},
		{"[2001:db8::7]:104", "2001:db8::7", 105, "2001:db8::7", false},
		{"[2001:db8::/32]:104", "2001:db8::8", 104, "2001:db8::8", true},
		{"[2001:db8::7]", "2001:db8::7", 105, "2001:db8::7", true},
		{"2001:db8::7", "2001:db8::7", 105, "2001:db8::7", true},
		{"fe80::/10", "pacs", 104, "fe80::1%eth0", false},

		{"pacs.example", "PACS.Example.", 104, "192.0.2.7 2001:db8::7", true},
		{"PACS.example.", "pacs.example", 104, "192.0.2.7", true},
		{"pacs.example:104", "pacs.example", 104, "192.0.2.7", true},
		{"pacs.example:104", "pacs.example", 105, "192.0.2.7", false},
		{"pacs.example", "192.0.2.7", 104, "192.0.2.7", false},
		{"pacs.example", "other.example", 104, "192.0.2.7", false},
		{"pacs.example", "a.pacs.example", 104, "192.0.2.7", false},

		{"pacs.example", "pacs.example", 104, "127.0.0.1", true},
		{"192.0.2.0/24", "pacs.example", 104, "192.0.2.7 198.51.100.7", false},

		// A name does not vouch for what is no PACS.
		{"pacs.example", "pacs.example", 104, "169.254.169.254", false},
		{"pacs.example", "pacs.example", 104, "0.0.0.0", false},
		{"pacs.example", "pacs.example", 104, "::", false},
		{"pacs.example", "pacs.example", 104, "224.0.0.1", false},
		{"pacs.example", "pacs.example", 104, "fe80::1%eth0", false},
		{"pacs.example,127.0.0.0/8", "pacs.example", 104, "127.0.0.1", true},
		{"localhost", "localhost", 104, "::1 127.0.0.1", true},
		{"localhost", "localhost", 104, "169.254.1.1", false},
		{"localhost", "127.0.0.1", 104, "127.0.0.1", false},
	} {
		var addresses []netip.Addr
		for address := range strings.FieldsSeq(test.addresses) {
			addresses = append(addresses, netip.MustParseAddr(address).Unmap())
		}
		var want []netip.Addr
		if test.want {
			want = addresses
		}
		assert.Equal(t, want, allowing(t, test.list).permitted(test.host, test.port, addresses), "%+v", test)
	}
	all := []netip.Addr{netip.IPv6Loopback()}
	assert.Equal(t, all, (*Allowlist)(nil).permitted("any", 1, all), "no list is no restriction")
	both := []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}
	assert.Equal(t, both[1:], allowing(t, "127.0.0.0/8").permitted("localhost", 104, both), "localhost at the address in the list")
}

func TestAnAllowlistThatIsFaultyTellsWhere(t *testing.T) {
	for entry, faulty := range map[string]string{
		"a scheme": "dicom://pacs", "a path": "pacs/x", "a wildcard": "*.example", "no port": "pacs:", "port 0": "pacs:0",
		"too high a port": "pacs:65536", "a signed port": "pacs:+104", "no host": ":104", "a named port": "pacs:dicom",
		"a mistyped address": "192.0.2.256", "a short address": "192.0.2", "bits beyond": "192.0.2.7/24",
		"too many bits": "192.0.2.0/33", "a zone": "fe80::1%eth0", "a bracket": "[2001:db8::7", "after a bracket": "[2001:db8::7]104",
		"a bracketed name": "[pacs]:104", "a bracketed IPv4 address": "[192.0.2.7]:104", "a space": "192.0.2.1 192.0.2.2",
		"IPv6 with a port": "2001:db8::7:99999", "more than the mapped": "::ffff:0.0.0.0/90", "a letter": "ä",
	} {
		_, err := ParseAllowlist("192.0.2.1, ," + faulty)
		var fault *AllowlistError
		if assert.ErrorAs(t, err, &fault, entry) {
			assert.Equal(t, 3, fault.Entry)
			assert.EqualError(t, fault, "entry 3 is no CIDR, host or host:port")
		}
	}
	for _, nothing := range []string{"", " ", ",", " , "} {
		_, err := ParseAllowlist(nothing)
		assert.EqualError(t, err, "no entry at all", "an empty list would permit nothing, or everything")
	}
}

// A name server that gives an address that is permitted and then one that is not.
func TestANameIsResolvedOnceAndDialledAtThatAddress(t *testing.T) {
	var dialled []string
	asked := 0
	p := &pacs{
		studies: threeStudies(),
		move:    func(a *association, uid string) { a.abort() },
	}
	g := p.gateway(t, Options{Allow: allowing(t, "192.0.2.0/24"), LookupHost: func(context.Context, string) ([]string, error) {
		asked++
		return [][]string{{"192.0.2.7"}, {"127.0.0.1"}}[min(asked, 2)-1], nil
	}})
	g.options.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return p.script.DialContext(ctx, network, address)
	}
	result, err := g.Retrieve(t.Context(), thePACS, Filter{PatientID: "P1"}, "DEST", Progress{})
	require.NoError(t, err)
	assert.Zero(t, result.Succeeded())
	assert.Equal(t, []string{"192.0.2.7:104", "192.0.2.7:104"}, dialled, "the new association too")
	assert.Equal(t, 1, asked)

	_, err = g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
	var refused *NotAllowedError
	require.ErrorAs(t, err, &refused)
	assert.Len(t, dialled, 2)
	p.seen(t, g)
}

func TestWhatMayNotBeDialledTellsNothingOfNames(t *testing.T) {
	unknown := func(context.Context, string) ([]string, error) {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	known := func(context.Context, string) ([]string, error) { return []string{"198.51.100.1"}, nil }
	slow := func(ctx context.Context, _ string) ([]string, error) { <-ctx.Done(); return nil, ctx.Err() }
	never := func(context.Context, string) ([]string, error) { panic("asked for a name that cannot be permitted") }
	for _, test := range []struct {
		list   string
		lookup func(context.Context, string) ([]string, error)
	}{
		{"192.0.2.0/24", unknown},
		{"192.0.2.0/24", known},
		{"192.0.2.0/24", slow},
		{"192.0.2.0/24:11112", never},
		{"other.example", never},
		{"pacs.example:11112", never},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := New(Options{
				Allow: allowing(t, test.list), LookupHost: test.lookup, DialContext: noDial,
				Timeouts: dicomnet.Timeouts{Connection: 10 * time.Second},
			})
			_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
			assert.Equal(t, &dicomnet.OpError{Step: dicomnet.StepConnect, Err: &NotAllowedError{}}, err)
			assert.EqualError(t, err, "connect: not allowed")
			report := g.Echo(t.Context(), thePACS)
			assert.Equal(t, []string{"resolve failed"}, outcomes(report))
			assert.Empty(t, report.Steps[0].Addresses)
			assert.Contains(t, failing(t, report).Hint, "PACS_ALLOWLIST")
			var refused *NotAllowedError
			assert.ErrorAs(t, report.Err, &refused)
		})
	}
	t.Run("but a listed name that has no address is told", func(t *testing.T) {
		g := New(Options{Allow: allowing(t, "pacs.example"), LookupHost: unknown, DialContext: noDial})
		_, err := g.Query(t.Context(), thePACS, Filter{PatientID: "P1"})
		var dns *net.DNSError
		assert.ErrorAs(t, err, &dns)
	})
	t.Run("and so is a caller that left", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		g := New(Options{Allow: allowing(t, "192.0.2.0/24"), LookupHost: func(context.Context, string) ([]string, error) {
			leave()
			return nil, errors.New("interrupted")
		}})
		_, err := g.Query(ctx, thePACS, Filter{PatientID: "P1"})
		assert.ErrorIs(t, err, context.Canceled)
	})
}

func TestOneRequestDoesNotKnockAtEveryDoor(t *testing.T) {
	addresses := []string{"not an address", "::ffff:198.51.100.0"}
	for i := range 100 {
		addresses = append(addresses, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String())
	}
	var dialled []string
	g, _ := echoing(nil, addresses...)
	g.options.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return nil, errors.New("refused")
	}
	report := g.Echo(t.Context(), thePACS)
	failing(t, report)
	assert.Len(t, dialled, maxAddresses)
	assert.Len(t, report.Steps[0].Addresses, maxAddresses)
	assert.Equal(t, "198.51.100.0", report.Steps[0].Addresses[0], "once, though the name server gave it in two guises")
	assert.Equal(t, "198.51.100.1", report.Steps[0].Addresses[1])
}

func FuzzAllowlist(f *testing.F) {
	for _, seed := range []string{"192.0.2.0/24", "pacs.example:104", "[2001:db8::7]:104", "::ffff:192.0.2.0/120", "localhost", ",", "[::]", "[::1%x]:1"} {
		f.Add(seed)
	}
	metadata := []netip.Addr{netip.MustParseAddr("169.254.169.254")}
	f.Fuzz(func(t *testing.T, list string) {
		a, err := ParseAllowlist(list)
		if err != nil {
			return
		}
		if len(a.permitted("pacs.example", 80, metadata)) > 0 && !strings.Contains(list, "/") && !strings.Contains(list, "254") && !strings.Contains(list, "a9fe") {
			t.Errorf("%q permits a link-local address that it does not name", list)
		}
	})
}
