package pool_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

type association = dicomtest.ScriptedAssociation

var study = dicomtest.StudyMatch

// threeStudies returns the studies 1.1, 1.2 and 1.3 of P1, which are moved in this order.
func threeStudies() []dicomtest.Attributes {
	return []dicomtest.Attributes{
		study("P1", "1.3", dicomtest.Attributes{dataset.StudyDate: "20220101"}),
		study("P1", "1.1", dicomtest.Attributes{dataset.StudyDate: "20240101"}),
		study("P1", "1.2", dicomtest.Attributes{dataset.StudyDate: "20230101"}),
	}
}

// findAfter answers C-FIND with a study after d.
func findAfter(d time.Duration) func(*association, string) {
	return func(a *association, _ string) {
		dicomtest.Wait(d)
		a.Match(study("P1", "1.1"))
		a.Finish(dicomnet.StatusSuccess)
	}
}

// repeat returns the events n times.
func repeat(n int, events ...string) []string { return slices.Repeat(events, n) }

// reusing returns Options with which associations are kept for the time.
func reusing(idle time.Duration) qrtest.Options { return qrtest.Options{AssociationIdle: idle} }

// queryCalled queries the PACS under another called AE title, and so on an association of another kind.
func queryCalled(ctx context.Context, g *qrtest.Gateway, aeTitle string) error {
	_, err := g.Query(ctx, qr.Call{}, qrtest.Called(aeTitle), qr.Filter{PatientID: "P1"})
	return err
}

// openCounter counts connections that are open at the same time.
type openCounter struct {
	mu        sync.Mutex
	now, most int
}

func (c *openCounter) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.most = max(c.most, c.now)
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// count returns dial with its connections counted, each from before it is dialled until it is closed.
func (c *openCounter) count(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c.add(1)
		conn, err := dial(ctx, network, address)
		if err != nil {
			c.add(-1)
			return nil, err
		}
		return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { c.add(-1) })}, nil
	}
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}
