package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
)

// ErrCutOff is a stream that ended without its last event: the gateway died, or something between closed the connection.
// What came of the operation is unknown.
var ErrCutOff = errors.New("the stream was cut off: the outcome is unknown")

// Event is what Follow tells: first a [*MatchedEvent], then [*ProgressEvent] and [*Retrieval] for each study, last a
// [*ResultEvent].
type Event interface{ event() }

func (*MatchedEvent) event()  {}
func (*ProgressEvent) event() {}
func (*Retrieval) event()     {}
func (*ResultEvent) event()   {}

// Follow is Retrieve that tells how far it is. The request is sent when the result is ranged over, anew each time. The
// last pair is either a [*ResultEvent] or an error: where nothing was moved a [*ProblemError], and [ErrCutOff] where the
// stream ended in the middle. To leave the loop early ends the operation at the PACS.
func (g *Gateway) Follow(ctx context.Context, request RetrieveRequest, edit ...RequestEditorFn) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		edit := append(slices.Clip(edit), setHeader("Accept", "text/event-stream"))
		response, err := g.client.Retrieve(ctx, nil, request, edit...)
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK || mediaType(response) != "text/event-stream" {
			yield(nil, failure(response))
			return
		}
		for message, err := range messages(response.Body) {
			var event Event
			if err == nil {
				event, err = message.read(response)
			}
			if event == nil && err == nil {
				continue // of a later version
			}
			_, last := event.(*ResultEvent)
			if !yield(event, err) || last || err != nil {
				return
			}
		}
	}
}

// message is a server-sent event as it came.
type message struct{ name, data string }

// read makes an Event of m, or the error that it tells; nil of one whose name is not known.
func (m message) read(response *http.Response) (event Event, err error) {
	switch m.name {
	case "matched":
		event = &MatchedEvent{}
	case "progress":
		event = &ProgressEvent{}
	case "retrieved":
		event = &Retrieval{}
	case "result":
		event = &ResultEvent{}
	case "error":
		problem := &ProblemError{}
		if err = decode([]byte(m.data), &problem.Problem); err == nil {
			return nil, problem
		}
	default:
		return nil, nil
	}
	if err == nil {
		err = decode([]byte(m.data), event)
	}
	if err != nil {
		return nil, newReplyError(response, fmt.Errorf("event %s: %w", m.name, err))
	}
	return event, nil
}

// maxLine is far more than the studies of one patient take, all of which are in one line.
const maxLine = 64 << 20

// messages reads server-sent events as the gateway writes them: one line of data each. It ends with an error, always.
func messages(stream io.Reader) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		lines := bufio.NewScanner(stream)
		lines.Buffer(nil, maxLine)
		var m message
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case lines.Text() == "":
				if m.data != "" && !yield(m, nil) {
					return
				}
				m = message{}
			case field == "event":
				m.name = value
			case field == "data":
				m.data = value
			}
		}
		err := ErrCutOff
		if lines.Err() != nil {
			err = fmt.Errorf("%w: %w", ErrCutOff, lines.Err())
		}
		yield(message{}, err)
	}
}
