// Package storelog reports what the storage SCP accepts and refuses to the log, the metrics and the audit trail.
package storelog

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/storescp"
	"dicom-qr-gateway/internal/telemetry"
)

// most is how many rejections and refusals a minute are reported one by one. The next report says how many were not, so that a stranger
// who opens connections cannot fill the disk.
const most = 60

// Observer is a storescp.Observer.
type Observer struct {
	log   zerolog.Logger
	watch *telemetry.Telemetry
	trail *audit.Trail

	mu      sync.Mutex
	minute  time.Time // since when reported counts
	count   int
	omitted int
}

var _ storescp.Observer = (*Observer)(nil)

// New returns an Observer. trail may be nil.
func New(log zerolog.Logger, watch *telemetry.Telemetry, trail *audit.Trail) *Observer {
	return &Observer{log: log, watch: watch, trail: trail}
}

// Listening logs where the SCP listens.
func (o *Observer) Listening(address netip.AddrPort, aeTitles []string) {
	o.log.Info().Str("address", address.String()).Strs("ae_titles", aeTitles).Msg("storage SCP listening")
}

// Observe sets o as the observer in the options of an SCP, and a trace that logs its associations; with debug, also PDUs and commands.
func (o *Observer) Observe(options *storescp.Options, debug bool) {
	options.Observer = o
	options.Background = o.log.WithContext(context.Background())
	options.Trace = func(pacs string) *dicomnet.Trace {
		trace := telemetry.NewLogTrace(debug, pacs)
		ended := trace.Ended
		trace.Ended = func(ctx context.Context, s dicomnet.Summary) {
			if errors.Is(s.Err, dicomnet.ErrReleased) {
				s.Err = nil // as every PACS ends its associations
			}
			ended(ctx, s)
		}
		return trace
	}
}

// Associated counts the association. A rejected one is logged and recorded.
func (o *Observer) Associated(a storescp.Association, rejected *dicomnet.RejectError) {
	if rejected == nil {
		o.watch.StoreAssociation("accepted")
		return
	}
	reason := word(rejected)
	o.watch.StoreAssociation(reason)
	if omitted, ok := o.report(); ok {
		o.warn(a, reason, omitted).Msg("association rejected")
		o.recorded(o.trail.AssociationRejected(sender(a), reason, omitted))
	}
}

// Refused counts the instance. The first one of an association is logged and recorded.
func (o *Observer) Refused(a storescp.Association, why storescp.Refusal, n int) {
	o.watch.StoreRefused(string(why))
	if n > 1 {
		return
	}
	if omitted, ok := o.report(); ok {
		o.warn(a, string(why), omitted).Msg("instance refused")
		o.recorded(o.trail.InstanceRefused(sender(a), string(why), omitted))
	}
}

// Ended logs how many instances of an association were refused, if there was more than the first.
func (o *Observer) Ended(a storescp.Association, refused int) {
	if refused > 1 {
		o.warn(a, "", 0).Int("instances", refused).Msg("instances refused")
	}
}

// Failed logs a peer whose TLS handshake failed.
func (o *Observer) Failed(a storescp.Association, err error) {
	o.watch.StoreAssociation("tls")
	if omitted, ok := o.report(); ok {
		o.warn(a, err.Error(), omitted).Msg("TLS handshake of the storage SCP failed")
	}
}

// report returns whether to report something now, and how much was omitted since the last report.
func (o *Observer) report() (omitted int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.Sub(o.minute) >= time.Minute {
		o.minute, o.count = now, 0
	}
	if o.count >= most {
		o.omitted++
		return 0, false
	}
	o.count++
	omitted, o.omitted = o.omitted, 0
	return omitted, true
}

func (o *Observer) recorded(err error) {
	if err != nil {
		o.log.Error().Str("reason", err.Error()).Msg("audit record not written")
	}
}

func (o *Observer) warn(a storescp.Association, reason string, omitted int) *zerolog.Event {
	e := o.log.Warn().Str("peer", a.Remote.String())
	if a.PACS != "" {
		e.Str("pacs", a.PACS)
	}
	if a.CalledAETitle != "" {
		e.Str("called_ae_title", a.CalledAETitle).Str("calling_ae_title", a.CallingAETitle)
	}
	if reason != "" {
		e.Str("reason", reason)
	}
	if omitted > 0 {
		e.Int("omitted", omitted)
	}
	return e
}

func sender(a storescp.Association) *audit.Sender {
	return &audit.Sender{
		PACS: a.PACS, Address: a.Remote.Addr().String(), CalledAETitle: a.CalledAETitle, CallingAETitle: a.CallingAETitle,
	}
}

// word returns the reason of a rejection, as logs and metrics name it.
func word(r *dicomnet.RejectError) string {
	switch {
	case r.Result == 2:
		return "limit"
	case r.Reason == 7:
		return "called_ae_title"
	}
	return "calling_ae_title"
}
