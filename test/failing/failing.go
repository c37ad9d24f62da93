// Package failing has one PACS in memory for each way in which a retrieval can end incomplete. Each has one study, of which it never
// sends everything, whichever way and however often it is asked.
package failing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// Instances is the number of instances of each study.
const Instances = 4

// instanceSize exceeds 1 MiB, so that the gateway passes an instance on while it arrives.
const instanceSize = 1200 << 10

// DestinationAETitle is the AE title to which the PACS move. Only one does not know it.
const DestinationAETitle = "FAILING"

// Whole are the names of the PACS that send everything.
var Whole = []string{"whole", "whole-by-move"}

// way is how a PACS fails.
type way struct {
	name string // of the PACS
	// retrieve is the way that the gateway has to use: get or move.
	retrieve string
	// configure changes the PACS; last is the instance that must not arrive.
	configure func(c *dicomtest.PACSConfig, s *site)
}

// site is one running PACS.
type site struct {
	way
	*dicomtest.PACS
	study dicomtest.Study
	other dicomtest.Study // of another patient
	last  string          // SOP Instance UID of the instance that must not arrive
	addr  string
	conns *connections
}

// errBroken ends a data set, which ends the association with A-ABORT.
var errBroken = errors.New("broken off on purpose")

var ways = []way{
	{Whole[0], "get", nil},
	{Whole[1], "move", nil},
	{"aborts-before-an-instance", "get", breaks(0, nil)},
	{"aborts-inside-an-instance", "get", breaks(instanceSize*9/10, nil)},
	{"closes-before-an-instance", "get", breaks(0, (*connections).close)},
	{"closes-inside-an-instance", "get", breaks(instanceSize*9/10, (*connections).close)},
	{"resets-inside-an-instance", "get", breaks(instanceSize*9/10, (*connections).reset)},
	{"stalls-before-an-instance", "get", stalls(0)},
	{"stalls-inside-an-instance", "get", stalls(instanceSize * 9 / 10)},
	{"leaves-an-instance-out", "get", plans(without)},
	{"sends-nothing", "get", plans(func(*site, []*dicomtest.Instance) []*dicomtest.Instance { return nil })},
	{"sends-an-instance-twice", "get", plans(func(s *site, all []*dicomtest.Instance) []*dicomtest.Instance {
		left := without(s, all)
		return append(left, left...)
	})},
	{"sends-another-study", "get", plans(func(s *site, all []*dicomtest.Instance) []*dicomtest.Instance {
		return append(without(s, all), s.other.Instances()...)
	})},
	{"counts-a-failure", "get", ends(dicomnet.StatusWarning)},
	{"fails", "get", ends(dicomnet.StatusUnableToProcess)},
	{"has-no-resources", "get", ends(dicomnet.StatusCannotPerform)},
	{"cancels", "get", ends(dicomnet.StatusCancel)},
	{"moves-nothing", "move", plans(func(*site, []*dicomtest.Instance) []*dicomtest.Instance { return nil })},
	{"moves-in-part", "move", plans(without)},
	{"fails-to-move", "move", ends(dicomnet.StatusCannotPerform)},
	{"aborts-a-moved-instance", "move", breaks(instanceSize*9/10, nil)},
	{"stalls-a-moved-instance", "move", stalls(instanceSize * 9 / 10)},
	{"moves-another-study", "move", plans(func(s *site, all []*dicomtest.Instance) []*dicomtest.Instance {
		return append(without(s, all), s.other.Instances()...)
	})},
	{"does-not-know-the-destination", "move", func(c *dicomtest.PACSConfig, _ *site) { c.Destinations = nil }},
}

// without returns all instances but the one that must not arrive.
func without(s *site, all []*dicomtest.Instance) []*dicomtest.Instance {
	return slices.DeleteFunc(slices.Clone(all), s.isLast)
}

func (s *site) isLast(in *dicomtest.Instance) bool { return in.Text(tag.SOPInstanceUID) == s.last }

// plans changes what is sent.
func plans(plan func(*site, []*dicomtest.Instance) []*dicomtest.Instance) func(*dicomtest.PACSConfig, *site) {
	return func(c *dicomtest.PACSConfig, s *site) {
		c.Retrieval.Plan = func(_ dicomnet.Step, matches []*dicomtest.Instance) []*dicomtest.Instance { return plan(s, matches) }
	}
}

// ends leaves an instance out and ends with this status.
func ends(status dicomnet.Status) func(*dicomtest.PACSConfig, *site) {
	return func(c *dicomtest.PACSConfig, s *site) {
		plans(without)(c, s)
		c.Retrieval.Final = func(_ dicomnet.Step, r *dicomnet.RetrieveReport) { r.Status = status }
	}
}

// breaks ends the association after so many bytes of the instance: with A-ABORT, or as end does.
func breaks(after int64, end func(*connections)) func(*dicomtest.PACSConfig, *site) {
	return func(c *dicomtest.PACSConfig, s *site) {
		c.Retrieval.Body = func(_ context.Context, in *dicomtest.Instance, r io.Reader) io.Reader {
			if !s.isLast(in) {
				return r
			}
			return io.MultiReader(io.LimitReader(r, after), reader(func() error {
				if end != nil {
					end(s.conns)
				}
				return errBroken
			}))
		}
	}
}

// stalls sends no more after so many bytes of the instance, until the association has ended.
func stalls(after int64) func(*dicomtest.PACSConfig, *site) {
	return func(c *dicomtest.PACSConfig, s *site) {
		c.Retrieval.Body = func(ctx context.Context, in *dicomtest.Instance, r io.Reader) io.Reader {
			if !s.isLast(in) {
				return r
			}
			return io.MultiReader(io.LimitReader(r, after), reader(func() error {
				<-ctx.Done()
				return errBroken
			}))
		}
	}
}

// reader is an io.Reader that has no bytes.
type reader func() error

func (r reader) Read([]byte) (int, error) { return 0, r() }

// PACS are the running PACS.
type PACS struct{ sites []*site }

// Start starts all PACS on free ports of loopback. They move to the storage SCP at destination, host:port.
func Start(destination string) (*PACS, error) {
	p := &PACS{}
	for i, w := range ways {
		s := &site{
			way: w, conns: &connections{}, study: dicomtest.GeneratedStudy(fmt.Sprintf("PATIENT-%d", i), Instances, instanceSize),
			other: dicomtest.GeneratedStudy("OTHER", 1, instanceSize),
		}
		instances := s.study.Instances()
		s.last = instances[len(instances)-1].Text(tag.SOPInstanceUID)
		c := dicomtest.PACSConfig{AETitle: "FAILING", Destinations: map[string]string{DestinationAETitle: destination}}
		if w.configure != nil {
			w.configure(&c, s)
		}
		s.PACS = dicomtest.NewPACS(c)
		if err := s.start(); err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.sites = append(p.sites, s)
	}
	return p, nil
}

func (s *site) start() error {
	if err := s.AddStudies(s.study); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = s.Serve(listener{l, s.conns}) }()
	s.addr = l.Addr().String()
	return nil
}

// Close stops all PACS.
func (p *PACS) Close() error {
	var errs []error
	for _, s := range p.sites {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// Studies returns the Study Instance UID of each PACS by its name.
func (p *PACS) Studies() map[string]string {
	studies := map[string]string{}
	for _, s := range p.sites {
		studies[s.name] = s.study.UID()
	}
	return studies
}

// WriteFile writes a PACS_FILE that names them.
func (p *PACS) WriteFile(path string) error {
	var b strings.Builder
	b.WriteString("pacs:\n")
	for _, s := range p.sites {
		host, port, err := net.SplitHostPort(s.addr)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "  %s: {host: %s, port: %s, ae_title: FAILING, calling_ae_title: GATEWAY, retrieve: %s, max_associations: 60, max_retrievals: 40}\n",
			s.name, host, port, s.retrieve)
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}

// connections are the open connections to a PACS.
type connections struct {
	mu   sync.Mutex
	open []net.Conn
}

func (c *connections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, conn)
}

// close closes all connections.
func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close()
	}
	c.open = nil
}

// reset closes all connections with RST.
func (c *connections) reset() {
	c.mu.Lock()
	for _, conn := range c.open {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	c.mu.Unlock()
	c.close()
}

type listener struct {
	net.Listener
	conns *connections
}

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.conns.add(conn)
	}
	return conn, err
}
