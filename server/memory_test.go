package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

// keepingGateway keeps memory for each result, as an operation with a large answer does.
type keepingGateway struct{ *fakeGateway }

const kept = 1 << 20

func (g keepingGateway) Query(ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter) (*qr.QueryResult, error) {
	if err := c.Memory.Take(ctx, kept); err != nil {
		return nil, err
	}
	return g.fakeGateway.Query(ctx, c, p, f)
}

func (g keepingGateway) Retrieve(ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter, to string) (*qr.RetrieveResult, error) {
	if err := c.Memory.Take(ctx, kept); err != nil {
		return nil, err
	}
	return g.fakeGateway.Retrieve(ctx, c, p, f, to)
}

func (g keepingGateway) Search(ctx context.Context, c qr.Call, p qr.Peer, s qr.Search) (*qr.SearchResult, error) {
	if err := c.Memory.Take(ctx, kept); err != nil {
		return nil, err
	}
	return g.fakeGateway.Search(ctx, c, p, s)
}

// What one request keeps must not be missing for the next ones, however the request ends.
func TestMemoryOfAResultIsReturnedHoweverTheRequestEnds(t *testing.T) {
	studies := []qr.Study{study(studyUID)}
	for name, test := range map[string]struct {
		err      error
		panics   bool
		empty    bool
		statuses [4]int // of a query, a retrieval, a retrieval with events, and a search
	}{
		"answered":  {statuses: [4]int{200, 200, 200, 200}},
		"no match":  {empty: true, statuses: [4]int{404, 404, 404, 200}},
		"failed":    {err: errors.New("unexpected"), statuses: [4]int{500, 500, 500, 500}},
		"no memory": {err: &budget.BusyError{}, statuses: [4]int{503, 503, 503, 503}},
		"panicked":  {panics: true, statuses: [4]int{500, 500, 500, 500}},
	} {
		t.Run(name, func(t *testing.T) {
			end := func() error {
				if test.panics {
					panic("unexpected")
				}
				return test.err
			}
			found := studies
			matches := []*qr.Match{foundStudy(t)}
			if test.empty {
				found, matches = []qr.Study{}, nil
			}
			fake := &fakeGateway{
				query: func(context.Context, qr.Call, qr.Peer, qr.Filter) (*qr.QueryResult, error) {
					if err := end(); err != nil {
						return nil, err
					}
					return &qr.QueryResult{Studies: found}, nil
				},
				retrieve: func(context.Context, qr.Call, qr.Peer, qr.Filter, string) (*qr.RetrieveResult, error) {
					if err := end(); err != nil {
						return nil, err
					}
					result := &qr.RetrieveResult{Studies: found}
					for i := range found {
						result.Retrievals = append(result.Retrievals, qr.Retrieval{StudyInstanceUID: found[i].StudyInstanceUID, Status: qr.RetrievalOK})
					}
					return result, nil
				},
				search: func(context.Context, qr.Peer, qr.Search) (*qr.SearchResult, error) {
					if err := end(); err != nil {
						return nil, err
					}
					return &qr.SearchResult{Matches: matches}, nil
				},
			}
			memory := budget.New(0, time.Second)
			peer := qr.Peer{Name: "main", Host: "127.0.0.1", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY", Settings: &pool.Settings{}}
			r := startWith(t, keepingGateway{fake}, preparation{options: func(o *Options) { o.Memory, o.PACS = memory, namedMain{peer} }})
			for range 8 { // more than fit at once
				query, _, _ := r.post(t, "/q", queryBody)
				retrieve, _, _ := r.post(t, "/qr", retrieveBody)
				events, _, body := r.post(t, "/qr", retrieveBody, "Accept", "text/event-stream")
				search, _, _ := r.get(t, "/dicomweb/main/studies?PatientID="+patientID)
				require.Equal(t, test.statuses, [4]int{query, retrieve, events, search}, body)
				assert.Eventually(t, func() bool { return memory.Reserved() == 0 }, 5*time.Second, time.Millisecond)
			}
		})
	}
}
