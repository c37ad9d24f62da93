package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
)

// LogOptions say what is logged, and how. The zero value logs nothing.
type LogOptions struct {
	On      bool
	Debug   bool // log PDUs, command sets and identifiers; identifiers hold patient data
	Console bool // for people, not JSON
}

// NewLogger returns a logger that writes to w.
func NewLogger(o LogOptions, w io.Writer) zerolog.Logger {
	switch {
	case !o.On:
		return zerolog.Nop()
	case o.Console:
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.RFC3339, NoColor: true}
	}
	level := zerolog.InfoLevel
	if o.Debug {
		level = zerolog.DebugLevel
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// DroppedLines returns the line of a log that says how many lines were dropped; nil if nothing is logged.
func DroppedLines(o LogOptions, lines uint64) []byte {
	var b bytes.Buffer
	logger := NewLogger(o, &b)
	logger.Warn().Uint64("lines", lines).Msg("log lines were dropped")
	return b.Bytes()
}

// NewLogTrace returns a trace that logs associations to the logger of the context: one line an association at info, and with
// debug also PDUs, command sets and identifiers. Identifiers hold patient data. pacs is the name of the PACS, or "".
func NewLogTrace(debug bool, pacs string) *dicomnet.Trace {
	trace := &dicomnet.Trace{Ended: func(ctx context.Context, s dicomnet.Summary) { logAssociation(ctx, s, pacs) }}
	if debug {
		trace.PDU = logPDU
		trace.Command = logCommand
		trace.Identifier = logIdentifier
	}
	return trace
}

func logAssociation(ctx context.Context, s dicomnet.Summary, pacs string) {
	event := zerolog.Ctx(ctx).Info()
	if s.Err != nil {
		event.Str("error", ErrorText(s.Err))
	}
	if pacs != "" {
		event.Str("pacs", pacs)
	}
	event.
		Str("called_ae_title", s.CalledAETitle).
		Str("calling_ae_title", s.CallingAETitle).
		Str("peer", s.Remote).
		Str("peer_implementation", s.Peer.ImplementationVersionName).
		Str("outcome", s.Outcome).
		Float64("duration_ms", Milliseconds(s.Duration)).
		Int("pdus_sent", s.PDUsSent).
		Int("pdus_received", s.PDUsReceived).
		Int64("bytes_sent", s.BytesSent).
		Int64("bytes_received", s.BytesReceived).
		Msg("association")
}

// ErrorText returns the text of an error of dicomnet that may be logged at info. These errors hold neither patient data nor
// free text of a peer, except that of a data set, which may hold values.
func ErrorText(err error) string {
	if _, ok := errors.AsType[*dicomnet.DataSetError](err); ok {
		return "undecodable data set"
	}
	text := err.Error()
	if connect, ok := errors.AsType[*dicomnet.ConnectError](err); ok {
		if cause, ok := errors.AsType[syscall.Errno](connect); ok {
			text += ": " + cause.Error() // such as "connection refused", without the address
		}
	}
	return text
}

func direction(sent bool) string {
	if sent {
		return "sent"
	}
	return "received"
}

func logPDU(ctx context.Context, sent bool, name string, length int) {
	zerolog.Ctx(ctx).Debug().Str("direction", direction(sent)).Str("pdu", name).Int("length", length).Msg("pdu")
}

func logCommand(ctx context.Context, sent bool, c dicomnet.CommandSet) {
	event := zerolog.Ctx(ctx).Debug().
		Str("direction", direction(sent)).
		Stringer("command", c.CommandField).
		Hex("command_field", []byte{byte(c.CommandField >> 8), byte(c.CommandField)}).
		Uint16("message_id", c.MessageID).
		Uint16("message_id_being_responded_to", c.MessageIDBeingRespondedTo).
		Str("sop_class_uid", c.AffectedSOPClassUID).
		Str("status", c.Status.String()).
		Bool("data_set", c.HasDataSet)
	for name, text := range map[string]string{
		"move_destination": c.MoveDestination,
		"error_comment":    c.Detail.ErrorComment,
	} {
		if text != "" {
			event.Str(name, text)
		}
	}
	for name, counter := range map[string]*uint16{
		"remaining": c.Remaining, "completed": c.Completed, "failed": c.Failed, "warning": c.Warning,
	} {
		if counter != nil {
			event.Uint16(name, *counter)
		}
	}
	event.Msg("command")
}

// Milliseconds returns d for log fields, with a fraction.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
