package audit

import (
	"iter"
	"strconv"
)

// Queries are the C-FINDs of one search, in the order in which they were sent. Add keeps as many as a record may hold.
type Queries struct {
	Sent    []Query
	Omitted int // of the last ones
	size    int
}

// maxQueries limits the bytes of the identifiers in one record.
const maxQueries = 256 << 10

// Add adds a query that was sent.
func (q *Queries) Add(query Query) {
	if q.size += len(query.Identifier); q.size > maxQueries {
		q.Omitted++
		return
	}
	q.Sent = append(q.Sent, query)
}

// Searched records a search (section A.5.3.10) as what was sent for it. It names no patient: a search is for any patients.
func (t *Trail) Searched(o *Operation, q *Queries, result Result) error {
	if t == nil {
		return nil
	}
	r := t.record(o.Caller.CorrelationID, QueryEvent, Execute, result)
	r.Participants = t.queryParticipants(o)
	r.Objects = q.objects()
	return t.log.Write(r)
}

// objects returns the queries. The last one says how many are omitted.
func (q *Queries) objects() iter.Seq[Object] {
	sent, omitted := q.Sent, q.Omitted
	return func(yield func(Object) bool) {
		for i := range sent {
			o := sent[i].object()
			if omitted > 0 && i == len(sent)-1 {
				o.Details = append(o.Details, Detail{Type: "queries_omitted", Value: []byte(strconv.Itoa(omitted))})
			}
			if !yield(o) {
				return
			}
		}
	}
}
