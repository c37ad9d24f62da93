package server

import (
	"context"
	"errors"
	"io"
	"log"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
)

// NewLogger writes to w as the settings say; without LOG_TO_CONSOLE nowhere.
func NewLogger(c Config, w io.Writer) zerolog.Logger {
	switch {
	case !c.LogToConsole:
		return zerolog.Nop()
	case c.LogFormat == "console":
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.RFC3339, NoColor: true}
	}
	level := zerolog.InfoLevel
	if c.DICOMDebug {
		level = zerolog.DebugLevel
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// httpErrorLog takes over what net/http has to say: broken handshakes and the like.
func httpErrorLog(logger zerolog.Logger) *log.Logger {
	return log.New(lineWriter(func(line string) { logger.Warn().Str("reason", line).Msg("http") }), "", 0)
}

type lineWriter func(line string)

func (f lineWriter) Write(p []byte) (int, error) {
	f(strings.TrimSpace(string(p)))
	return len(p), nil
}

// NewTrace logs associations to the logger of the request's context: one line
// each at info, PDUs and command sets at debug and, with debug alone,
// identifiers, which are patient data.
func NewTrace(debug bool) *dicomnet.Trace {
	trace := &dicomnet.Trace{Ended: logAssociation}
	if debug {
		trace.PDU = logPDU
		trace.Command = logCommand
		trace.Identifier = logIdentifier
	}
	return trace
}

func logAssociation(ctx context.Context, s dicomnet.Summary) {
	event := zerolog.Ctx(ctx).Info()
	if s.Err != nil {
		event.Str("error", errorText(s.Err))
	}
	event.
		Str("called_ae_title", s.CalledAETitle).
		Str("calling_ae_title", s.CallingAETitle).
		Str("peer", s.Remote).
		Str("peer_implementation", s.Peer.ImplementationVersionName).
		Str("outcome", s.Outcome).
		Float64("duration_ms", milliseconds(s.Duration)).
		Int("pdus_sent", s.PDUsSent).
		Int("pdus_received", s.PDUsReceived).
		Int64("bytes_sent", s.BytesSent).
		Int64("bytes_received", s.BytesReceived).
		Msg("association")
}

// errorText is what may be logged at info of an error of dicomnet: those hold
// neither patient data nor free text of a peer, but what is wrong with a data set
// may be told by its values.
func errorText(err error) string {
	if _, ok := errors.AsType[*dicomnet.DataSetError](err); ok {
		return "undecodable data set"
	}
	return err.Error()
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

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
