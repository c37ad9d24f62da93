package dicomtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
)

// The application entities of the demonstration and where they listen unless told
// otherwise.
const (
	DemoAETitleA = "ORTHANCA"
	DemoAETitleB = "ORTHANCB"
	DemoAddrA    = "127.0.0.1:4242"
	DemoAddrB    = "127.0.0.1:4243"
)

// Demo is two running PACS: A with DemoStudies, B without any, each a move
// destination of the other. B refuses instances of modality OT, so that a C-MOVE
// can be seen to succeed in part.
type Demo struct {
	A, B *PACS

	delay atomic.Int64
}

// StartDemo starts both PACS on the addresses given, a loopback address and a port
// each; empty ones stand for DemoAddrA and DemoAddrB. Any other address is refused:
// these PACS know no access control and are for nobody but this machine.
func StartDemo(addrA, addrB string) (*Demo, error) {
	d := &Demo{}
	d.A = NewPACS(PACSConfig{AETitle: DemoAETitleA, Before: d.before})
	d.B = NewPACS(PACSConfig{AETitle: DemoAETitleB, Before: d.before, FailStore: refuseOther()})
	err := d.start(orDefault(addrA, DemoAddrA), orDefault(addrB, DemoAddrB))
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// SetDelay makes both PACS take that long before each instance that they move.
func (d *Demo) SetDelay(delay time.Duration) { d.delay.Store(int64(delay)) }

func (d *Demo) before(ctx context.Context, op dicomnet.Step) {
	delay := time.Duration(d.delay.Load())
	if op != dicomnet.StepMove || delay <= 0 {
		return
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
}

// refuseOther gives the instances of modality OT the status of a peer that does
// not know their SOP class.
func refuseOther() func(sopInstanceUID string) dicomnet.Status {
	refused := map[string]dicomnet.Status{}
	for _, study := range DemoStudies() {
		for _, in := range study.Instances() {
			if in.Text(tag.Modality) == "OT" {
				refused[in.Text(tag.SOPInstanceUID)] = dicomnet.StatusSOPClassNotSupported
			}
		}
	}
	return func(sopInstanceUID string) dicomnet.Status { return refused[sopInstanceUID] }
}

func (d *Demo) start(addrA, addrB string) error {
	for _, address := range []string{addrA, addrB} {
		if err := checkLoopback(address); err != nil {
			return err
		}
	}
	if err := d.A.AddStudies(DemoStudies()...); err != nil {
		return err
	}
	if err := d.A.Listen(addrA); err != nil {
		return fmt.Errorf("demonstration PACS %s: %w", DemoAETitleA, err)
	}
	if err := d.B.Listen(addrB); err != nil {
		return fmt.Errorf("demonstration PACS %s: %w", DemoAETitleB, err)
	}
	d.A.SetDestination(DemoAETitleB, d.B.Addr())
	d.B.SetDestination(DemoAETitleA, d.A.Addr())
	return nil
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("demonstration PACS: %q is not host:port", address)
	}
	// Names are refused as well: what they resolve to may change.
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return fmt.Errorf("demonstration PACS: %q is not a loopback address such as 127.0.0.1 or ::1", host)
	}
	return nil
}

// Close stops both PACS.
func (d *Demo) Close() error { return errors.Join(d.A.Close(), d.B.Close()) }

// Describe writes what runs where, and the requests to try on the gateway at
// baseURL.
func (d *Demo) Describe(w io.Writer, baseURL string) error {
	host, port, err := net.SplitHostPort(d.A.Addr())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, demoText, baseURL,
		DemoAETitleA, d.A.Addr(), d.A.Instances(), DemoAETitleB, d.B.Addr(),
		host, port, DemoAETitleA, DemoPatientID, DemoAETitleB)
	return err
}

const demoText = `
Gateway         %[1]s
API documents   %[1]s/docs  %[1]s/redoc
PACS %[2]s   %[3]s  (%[4]d synthetic instances)
PACS %[5]s   %[6]s  (a move destination, empty at first)

Find a patient's CT studies of the last ten years:

  curl -sS %[1]s/q -H 'Content-Type: application/json' -d '{
    "pacs_ip": "%[7]s", "pacs_port": %[8]s, "pacs_ae_title": "%[9]s",
    "c_find_ae_title": "GATEWAY", "patient_id": "%[10]s",
    "modalities": ["CT"], "max_years_old": 10
  }'

Move all studies of the last ten years to %[11]s:

  curl -sS %[1]s/qr -H 'Content-Type: application/json' -d '{
    "pacs_ip": "%[7]s", "pacs_port": %[8]s, "pacs_ae_title": "%[9]s",
    "c_find_ae_title": "GATEWAY", "patient_id": "%[10]s",
    "c_move_ae_title": "%[11]s", "max_years_old": 10
  }'

`
