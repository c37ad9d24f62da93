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

	"dicom-qr-gateway/gen/goclient"
)

// ErrCutOff reports a stream that ended without its last event: the gateway stopped, or a proxy closed the connection.
// The outcome of the operation is unknown.
var ErrCutOff = errors.New("the stream was cut off: the outcome is unknown")

// Event is a [*MatchedEvent], [*ProgressEvent], [*RetrievedEvent] or [*ResultEvent].
type Event interface{ event() }

// MatchedEvent lists the studies that matched. It comes first, before anything is moved.
type MatchedEvent struct{ goclient.MatchedEvent }

// ProgressEvent has the counters of the study that is being moved. It comes with each pending C-MOVE response.
type ProgressEvent struct{ goclient.ProgressEvent }

// RetrievedEvent is the outcome of one study.
type RetrievedEvent struct{ Retrieval }

// ResultEvent is the response that [Gateway.Retrieve] would have returned, and its HTTP status. It comes last.
type ResultEvent struct{ goclient.ResultEvent }

func (*MatchedEvent) event()   {}
func (*ProgressEvent) event()  {}
func (*RetrievedEvent) event() {}
func (*ResultEvent) event()    {}

// Follow is [Gateway.Retrieve] with progress. Ranging over the result sends the request, each time again. The sequence
// starts with a [*MatchedEvent], goes on with [*ProgressEvent] and [*RetrievedEvent] for each study, and ends with a
// [*ResultEvent] or an error: a [*ProblemError] if nothing was moved, [ErrCutOff] if the stream ended early. Breaking out
// of the loop cancels the operation at the PACS.
func (g *Gateway) Follow(ctx context.Context, request RetrieveRequest, options ...CallOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		options := append(slices.Clip(options), setHeader("Accept", "text/event-stream"))
		response, err := g.retry.send(ctx, func() (*http.Response, error) {
			return g.client.Retrieve(ctx, nil, request, options...)
		})
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
				continue // an event of a later version
			}
			_, last := event.(*ResultEvent)
			if !yield(event, err) || last || err != nil {
				return
			}
		}
	}
}

// message is a server-sent event before its data is decoded.
type message struct{ id, name, data string }

// read decodes m. It returns the problem of an error event as an error, and nil for an event of an unknown name.
func (m message) read(response *http.Response) (event Event, err error) {
	switch m.name {
	case "matched":
		event = &MatchedEvent{}
	case "progress":
		event = &ProgressEvent{}
	case "retrieved":
		event = &RetrievedEvent{}
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

// maxLine limits the bytes of a line. A matched event has all studies of a patient in one line.
const maxLine = 64 << 20

// messages reads server-sent events as the gateway writes them, each with one line of data. The sequence always ends with
// an error.
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
			case field == "id":
				m.id = value
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
