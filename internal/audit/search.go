package audit

import "strconv"

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
	for i := range q.Sent {
		r.Objects = append(r.Objects, q.Sent[i].object())
	}
	if q.Omitted > 0 {
		last := &r.Objects[len(r.Objects)-1]
		last.Details = append(last.Details, Detail{Type: "queries_omitted", Value: []byte(strconv.Itoa(q.Omitted))})
	}
	return t.log.Write(r)
}
