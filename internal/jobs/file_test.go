package jobs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/principal"
)

func TestAnInvalidOrderIsRefusedWithAllItsFaults(t *testing.T) {
	s := New(options(t, &retriever{}))
	_, _, err := s.File(t.Context(), someone, Order{
		PACS: "other", Priority: "urgent", Window: &Window{}, NotBefore: time.Now().Add(31 * 24 * time.Hour),
		Items: []Item{
			{PatientID: "1"},
			{},
			{PatientID: " 1 "},
			{AccessionNumber: "12345678901234567"},
			{AccessionNumber: "1", IssuerOfPatientID: "A"},
			{StudyInstanceUID: "one"},
			{PatientID: "2", StudyDateFrom: "yesterday"},
			{PatientID: "*"},
			{PatientID: "3", StudyInstanceUIDs: uids(1000)},
		},
	})
	invalid, ok := errors.AsType[*InvalidError](err)
	require.True(t, ok, err)
	assert.Equal(t, []Fault{
		{-1, "pacs", "is not the name of a configured PACS"},
		{-1, "c_move_ae_title", "is not an AE title; only a dry run can do without one"},
		{-1, "window", "never opens, or is not a window of times of day"},
		{-1, "not_before", "is later than the time for which jobs are kept"},
		{-1, "priority", "is not high, normal or low"},
		{1, "", "has none of patient_id, accession_number and study_instance_uid"},
		{2, "", "repeats item 1"},
		{3, "accession_number", "has more than 16 characters, which needs a patient_id"},
		{4, "issuer_of_patient_id", "needs a patient_id"},
		{5, "study_instance_uid", "cannot be sent to a PACS"},
		{6, "study_date_from", "cannot be sent to a PACS"},
		{7, "patient_id", "cannot be sent to a PACS"},
		{8, "", "is too long"},
	}, invalid.Faults)
	assert.Equal(t, "invalid order: 13 faults", invalid.Error())

	_, _, err = s.File(t.Context(), someone, Order{})
	invalid, _ = errors.AsType[*InvalidError](err)
	assert.Contains(t, invalid.Faults, Fault{-1, "items", "is empty"})
	assert.Contains(t, invalid.Faults, Fault{-1, "pacs", "is missing"})
	_, _, err = s.File(t.Context(), someone, order(10_001))
	invalid, _ = errors.AsType[*InvalidError](err)
	assert.Equal(t, []Fault{{-1, "items", "has 10001 items; at most 10000 are accepted"}}, invalid.Faults)
	wanted := order(1)
	for range 200 {
		wanted.Items = append(wanted.Items, Item{})
	}
	_, _, err = s.File(t.Context(), someone, wanted)
	invalid, _ = errors.AsType[*InvalidError](err)
	assert.Len(t, invalid.Faults, maxFaults)
	list, _, err := s.Jobs(t.Context(), someone, Page{})
	require.NoError(t, err)
	assert.Empty(t, list, "nothing was filed")
}

func uids(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("1.2.%060d", i))
	}
	return list
}

func TestItemsAreKeptInChunksThatFitIntoMessages(t *testing.T) {
	s := New(options(t, &retriever{}))
	wanted := order(700)
	for i := range wanted.Items {
		if i%10 == 0 {
			wanted.Items[i].StudyInstanceUIDs = uids(100)
		}
	}
	j := file(t, s, wanted)
	page, total, err := s.Items(t.Context(), someone, j.ID, Selection{Offset: 495, Limit: 10})
	require.NoError(t, err)
	assert.Equal(t, 700, total)
	require.Len(t, page, 10)
	for i, item := range page {
		assert.Equal(t, 496+i, item.Number)
		assert.Equal(t, wanted.Items[495+i], item.Item)
	}
	page, total, err = s.Items(t.Context(), someone, j.ID, Selection{State: Moved})
	require.NoError(t, err)
	assert.Zero(t, total)
	assert.Empty(t, page)
}

func TestAnIdempotencyKeyFilesOneJob(t *testing.T) {
	t.Parallel()
	s := New(options(t, &retriever{}))
	wanted := order(2)
	wanted.IdempotencyKey = "import 7"
	first, replayed, err := s.File(t.Context(), someone, wanted)
	require.NoError(t, err)
	assert.False(t, replayed)
	again, replayed, err := s.File(t.Context(), someone, wanted)
	require.NoError(t, err)
	assert.True(t, replayed)
	assert.Equal(t, first.ID, again.ID)
	assert.Equal(t, first.FiledAt, again.FiledAt)

	other := order(3)
	other.IdempotencyKey = "import 7"
	_, _, err = s.File(t.Context(), someone, other)
	conflict, ok := errors.AsType[*ConflictError](err)
	require.True(t, ok, err)
	assert.Equal(t, KeyReused, conflict.Kind)
	assert.Equal(t, "idempotency_key_reused", conflict.Error())
	theirs, replayed, err := s.File(t.Context(), principal.Principal{User: "ward-3"}, other)
	require.NoError(t, err, "another caller has keys of its own")
	assert.False(t, replayed)
	assert.NotEqual(t, first.ID, theirs.ID)

	run(t, s)
	finished(t, s, first.ID)
	require.NoError(t, s.Delete(t.Context(), someone, first.ID))
	another, replayed, err := s.File(t.Context(), someone, wanted)
	require.NoError(t, err)
	assert.False(t, replayed, "the job was deleted")
	assert.NotEqual(t, first.ID, another.ID)
	finished(t, s, another.ID)
}

func TestACallerHasALimitOfUnfinishedJobs(t *testing.T) {
	t.Parallel()
	o := options(t, &retriever{})
	o.MaxJobs = 2
	s := New(o)
	first := file(t, s, order(1))
	file(t, s, order(1))
	_, _, err := s.File(t.Context(), someone, order(1))
	limit, ok := errors.AsType[*LimitError](err)
	require.True(t, ok, err)
	assert.Equal(t, 2, limit.Max)
	assert.Contains(t, limit.Error(), "more than 2")
	_, _, err = s.File(t.Context(), principal.Principal{}, order(1))
	require.NoError(t, err, "another caller")
	run(t, s)
	finished(t, s, first.ID)
	file(t, s, order(1))
}

func TestACallerSeesItsOwnJobs(t *testing.T) {
	s := New(options(t, &retriever{}))
	j := file(t, s, order(1))
	admin := principal.Principal{Key: "operator", Rights: &principal.Rights{Admin: true}}
	for _, other := range []principal.Principal{{}, {Key: "ward-4"}, {User: "ward-3"}, {Certificate: "ward-3"}} {
		_, err := s.Job(t.Context(), other, j.ID)
		assert.ErrorAs(t, err, new(*NotFoundError))
		_, _, err = s.Items(t.Context(), other, j.ID, Selection{})
		assert.ErrorAs(t, err, new(*NotFoundError))
		_, err = s.Cancel(t.Context(), other, j.ID)
		assert.ErrorAs(t, err, new(*NotFoundError))
		for _, err := range s.Events(t.Context(), other, j.ID, 0) {
			assert.ErrorAs(t, err, new(*NotFoundError))
			assert.Equal(t, "no such job", err.Error())
		}
		list, _, err := s.Jobs(t.Context(), other, Page{})
		assert.NoError(t, err)
		assert.Empty(t, list)
	}
	for _, id := range []string{"", "x", "../" + j.ID, strings.ToUpper(j.ID), j.ID[:25] + "*", newID(noon)} {
		_, err := s.Job(t.Context(), admin, id)
		assert.ErrorAs(t, err, new(*NotFoundError), id)
	}
	seen, err := s.Job(t.Context(), admin, j.ID)
	require.NoError(t, err)
	assert.Equal(t, "ward-3", seen.FiledBy)
	second, _, err := s.File(t.Context(), admin, order(1))
	require.NoError(t, err)
	list, more, err := s.Jobs(t.Context(), admin, Page{Limit: 1})
	require.NoError(t, err)
	assert.True(t, more)
	assert.Equal(t, second.ID, list[0].ID, "the newest first")
	list, more, err = s.Jobs(t.Context(), admin, Page{Offset: 1})
	require.NoError(t, err)
	assert.False(t, more)
	assert.Equal(t, j.ID, list[0].ID)
}

func TestIdentifiersSortByTime(t *testing.T) {
	assert.Less(t, newID(noon), newID(noon.Add(time.Millisecond)))
	assert.NotEqual(t, newID(noon), newID(noon))
	assert.True(t, validID(newID(noon)))
}
