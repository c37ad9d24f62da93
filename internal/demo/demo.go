// Package demo runs the two PACS of `make run`: in memory, on loopback, with synthetic studies.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// The application entities of the demonstration, and the addresses on which they listen by default.
const (
	AETitleA = "ORTHANCA"
	AETitleB = "ORTHANCB"
	AddressA = "127.0.0.1:4242"
	AddressB = "127.0.0.1:4243"
)

// Demo is two running PACS. A holds [Studies] and [ImagingStudies], B nothing; each is a move destination of the other. B refuses instances of
// modality OT, so that a C-MOVE of their study succeeds in part.
type Demo struct {
	A, B *dicomtest.PACS

	delay atomic.Int64
}

// Start starts both PACS. An empty address means [AddressA] or [AddressB]. Addresses other than an IP address of loopback and
// a port are refused: the PACS have no access control.
func Start(addressA, addressB string) (*Demo, error) {
	d := &Demo{}
	d.A = dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: AETitleA, Before: d.before})
	d.B = dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: AETitleB, Before: d.before, FailStore: refuseOther()})
	if err := d.start(cmp.Or(addressA, AddressA), cmp.Or(addressB, AddressB)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// SetDelay sets the time that both PACS take for each instance that they send.
func (d *Demo) SetDelay(delay time.Duration) { d.delay.Store(int64(delay)) }

func (d *Demo) before(ctx context.Context, op dicomnet.Step) {
	delay := time.Duration(d.delay.Load())
	if op != dicomnet.StepMove && op != dicomnet.StepGet || delay <= 0 {
		return
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
}

// refuseOther returns a function that fails C-STORE of the instances of modality OT, with the status of a peer that does not
// support their SOP class.
func refuseOther() func(sopInstanceUID string) dicomnet.Status {
	refused := map[string]dicomnet.Status{}
	for _, study := range Studies() {
		for _, in := range study.Instances() {
			if in.Text(tag.Modality) == "OT" {
				refused[in.Text(tag.SOPInstanceUID)] = dicomnet.StatusSOPClassNotSupported
			}
		}
	}
	return func(sopInstanceUID string) dicomnet.Status { return refused[sopInstanceUID] }
}

func (d *Demo) start(addressA, addressB string) error {
	for _, address := range []string{addressA, addressB} {
		if err := CheckAddress(address); err != nil {
			return fmt.Errorf("demonstration PACS: %w", err)
		}
	}
	if err := d.A.AddStudies(slices.Concat(Studies(), ImagingStudies())...); err != nil {
		return err
	}
	if err := d.A.Listen(addressA); err != nil {
		return fmt.Errorf("demonstration PACS %s: %w", AETitleA, err)
	}
	if err := d.B.Listen(addressB); err != nil {
		return fmt.Errorf("demonstration PACS %s: %w", AETitleB, err)
	}
	d.A.SetDestination(AETitleB, d.B.Addr())
	d.B.SetDestination(AETitleA, d.A.Addr())
	return nil
}

// CheckAddress reports whether a PACS of the demonstration may listen on address: an IP address of loopback, and a port.
func CheckAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	// Names are refused too, because their address may change.
	if err == nil {
		var ip netip.Addr
		if ip, err = netip.ParseAddr(host); err == nil && ip.IsLoopback() {
			return nil
		}
	}
	return errors.New("want a loopback address and a port, such as 127.0.0.1:4242 or [::1]:4242")
}

// Close stops both PACS.
func (d *Demo) Close() error { return errors.Join(d.A.Close(), d.B.Close()) }

// Describe writes what listens on which address, and requests to try on the gateway at baseURL.
func (d *Demo) Describe(w io.Writer, baseURL string) error {
	host, port, err := net.SplitHostPort(d.A.Addr())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, description, baseURL,
		AETitleA, d.A.Addr(), d.A.Instances(), AETitleB, d.B.Addr(),
		host, port, AETitleA, PatientID, AETitleB, newestCT().UID())
	return err
}

// newestCT returns the study that README shows.
func newestCT() dicomtest.Study {
	studies := Studies()
	return studies[slices.IndexFunc(studies, func(s dicomtest.Study) bool { return s.AccessionNumber == "ACC-1007" })]
}

const description = `
Gateway         %[1]s  (open it in a browser)
API documents   %[1]s/docs  %[1]s/redoc
PACS %[2]s   %[3]s  (%[4]d synthetic instances)
PACS %[5]s   %[6]s  (a move destination, empty at first)

Find a patient's CT studies of the last ten years:

  curl -sS %[1]s/q -H 'Content-Type: application/json' -d '{
    "pacs_ip": "%[7]s", "pacs_port": %[8]s, "pacs_ae_title": "%[9]s",
    "c_find_ae_title": "GATEWAY", "patient_id": "%[10]s",
    "modalities": ["CT"], "max_years_old": 10
  }'

Download a study:

  curl -sS --fail -o study.zip -H 'Accept: application/zip' %[1]s/dicomweb/orthanca/studies/%[12]s

Move all studies of the last ten years to %[11]s:

  curl -sS %[1]s/qr -H 'Content-Type: application/json' -d '{
    "pacs_ip": "%[7]s", "pacs_port": %[8]s, "pacs_ae_title": "%[9]s",
    "c_find_ae_title": "GATEWAY", "patient_id": "%[10]s",
    "c_move_ae_title": "%[11]s", "max_years_old": 10
  }'

`
