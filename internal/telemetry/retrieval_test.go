package telemetry

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// written returns the lines of all metrics.
func written(t *testing.T, tel *Telemetry) []string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, tel.WriteMetrics(&b))
	return strings.Split(b.String(), "\n")
}

func TestRetrievalsAreCounted(t *testing.T) {
	tel, err := New(Options{})
	require.NoError(t, err)
	tel.peers.accepted("main")
	r := tel.Retrieval("main")
	assert.Contains(t, written(t, tel), `dicomqr_retrievals_running{peer="main"} 1`)
	r.Instance(1000)
	r.Instance(507)
	for range 2 { // the second has no effect
		r.End(t.Context(), RetrievalEnd{Way: WayGetAndMove, Outcome: RetrievalIncomplete, Missing: 2})
	}
	failed := tel.Retrieval("main")
	failed.End(t.Context(), RetrievalEnd{Outcome: RetrievalFailed})
	cancelled := tel.Retrieval("main")
	cancelled.End(t.Context(), RetrievalEnd{Way: WayGet, Outcome: RetrievalCancelled, Missing: 400}) // which are not counted as missing
	lines := written(t, tel)
	for _, line := range []string{
		`dicomqr_retrievals_running{peer="main"} 0`,
		`dicomqr_retrievals_total{outcome="incomplete",peer="main",way="get,move"} 1`,
		`dicomqr_retrievals_total{outcome="failed",peer="main",way="none"} 1`,
		`dicomqr_retrieval_duration_seconds_count{way="get,move"} 1`,
		`dicomqr_retrieval_first_instance_seconds_count{way="get,move"} 1`,
		`dicomqr_retrieved_instances_total{peer="main",way="get,move"} 2`,
		`dicomqr_retrieved_bytes_total{peer="main",way="get,move"} 1507`,
		`dicomqr_retrieval_missing_instances_total{peer="main"} 2`,
	} {
		assert.Contains(t, lines, line)
	}
	assert.NotContains(t, strings.Join(lines, "\n"), `dicomqr_retrieval_first_instance_seconds_count{way="none"}`)
}

func TestTheFirstRetrievalFromAPACSHasItsLabel(t *testing.T) {
	tel, err := New(Options{})
	require.NoError(t, err)
	r := tel.Retrieval("192.0.2.1:104") // before its first association
	tel.peers.accepted("192.0.2.1:104")
	r.End(t.Context(), RetrievalEnd{Way: WayGet, Outcome: RetrievalComplete})
	named := tel.Retrieval("main")
	defer named.End(t.Context(), RetrievalEnd{})
	lines := written(t, tel)
	assert.Contains(t, lines, `dicomqr_retrievals_total{outcome="complete",peer="192.0.2.1:104",way="get"} 1`)
	assert.Contains(t, lines, `dicomqr_retrievals_running{peer="other"} 0`)
	assert.Contains(t, lines, `dicomqr_retrievals_running{peer="main"} 1`, "a name needs no association")
}

func TestRetrievalIsDescribedInTheSpanOfItsRequest(t *testing.T) {
	c := newCollector(t)
	tel, err := New(Options{Tracing: exporting(c.URL)})
	require.NoError(t, err)
	ctx, request := tel.Request(t.Context(), httptest.NewRequest(http.MethodGet, "/", http.NoBody), "id-1")
	r := tel.Retrieval("main")
	r.Instance(1000)
	r.End(ctx, RetrievalEnd{Way: WayGet, Outcome: RetrievalComplete})
	request.End(Answer{Route: "/dicomweb/{pacs}/studies/{study}", Status: 200, Operation: "retrieve", Outcome: "ok"})
	require.NoError(t, tel.Close(t.Context()))
	require.Len(t, c.spans, 1)
	attributes := map[string]string{}
	for _, a := range c.spans[0].Attributes {
		attributes[a.Key] = a.Value.GetStringValue()
		if n := a.Value.GetIntValue(); n != 0 {
			attributes[a.Key] = strconv.FormatInt(n, 10)
		}
	}
	assert.Equal(t, "get", attributes["dicom.retrieval.way"])
	assert.Equal(t, "complete", attributes["dicom.retrieval.outcome"])
	assert.Equal(t, "1", attributes["dicom.retrieval.instances"])
	assert.Equal(t, "1000", attributes["dicom.retrieval.bytes"])
}

func TestStorageIsMeasured(t *testing.T) {
	tel, err := New(Options{})
	require.NoError(t, err)
	assert.Contains(t, written(t, tel), `dicomqr_spool_bytes{where="files"} 0`)
	tel.CountSpool(func() Spool { return Spool{Memory: 1, Files: 2, Full: 3} })
	tel.CountCache(func() Cache { return Cache{Bytes: 4, Instances: 5, Hits: 6, Misses: 7, Dropped: 8, Evicted: 9} })
	tel.StoreAssociation("accepted")
	tel.StoreRefused("late")
	lines := written(t, tel)
	for _, line := range []string{
		`dicomqr_spool_bytes{where="memory"} 1`, `dicomqr_spool_bytes{where="files"} 2`, `dicomqr_spool_full_total 3`,
		`dicomqr_cache_bytes 4`, `dicomqr_cache_instances 5`, `dicomqr_cache_requests_total{result="hit"} 6`,
		`dicomqr_cache_requests_total{result="miss"} 7`, `dicomqr_cache_removed_total{reason="outdated"} 8`,
		`dicomqr_cache_removed_total{reason="room"} 9`, `dicomqr_store_associations_total{outcome="accepted"} 1`,
		`dicomqr_stores_refused_total{reason="late"} 1`,
	} {
		assert.Contains(t, lines, line)
	}
}

func TestReasonsOfRefusalsAreLimited(t *testing.T) {
	w := words{limit: 2}
	assert.Equal(t, "a", w.word("a"))
	assert.Equal(t, "b", w.word("b"))
	assert.Equal(t, "other", w.word("c"))
	assert.Equal(t, "a", w.word("a"))
}
