package qr_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

type association = dicomtest.ScriptedAssociation

var study = dicomtest.StudyMatch

func date(s string) dicomtest.Attributes { return dicomtest.Attributes{dataset.StudyDate: s} }

func modalities(s string) dicomtest.Attributes {
	return dicomtest.Attributes{dataset.ModalitiesInStudy: s}
}

// threeStudies returns the studies 1.1, 1.2 and 1.3 of P1, which are moved in this order.
func threeStudies() []dicomtest.Attributes {
	return []dicomtest.Attributes{
		study("P1", "1.3", date("20220101")), study("P1", "1.1", date("20240101")), study("P1", "1.2", date("20230101")),
	}
}

func fiveStudies() []dicomtest.Attributes {
	return append(threeStudies(), study("P1", "1.4"), study("P1", "1.5"))
}

func codes(list []qr.Warning) []qr.WarningCode {
	codes := make([]qr.WarningCode, 0, len(list))
	for _, w := range list {
		codes = append(codes, w.Code)
	}
	return codes
}

// number returns a counter as text, "-" if there is none.
func number(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

// lines returns a line for each retrieval: UID, status, DIMSE status, completed/failed/warning, failed instances.
func lines(list []qr.Retrieval) []string {
	text := make([]string, 0, len(list))
	for i := range list {
		r := &list[i]
		text = append(text, strings.TrimSpace(fmt.Sprintf("%s %s %s %s/%s/%s %s", r.StudyInstanceUID, r.Status, r.DICOMStatus,
			number(r.Completed), number(r.Failed), number(r.Warning), strings.Join(r.FailedSOPInstanceUIDs, ","))))
	}
	return text
}

// recorder is an Observer that records Matched, Moving and Retrieved, a line a call, and then calls a function of the test.
type recorder struct {
	qr.Unobserved
	lines                 []string
	onMoving, onRetrieved func()
}

func (r *recorder) record(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Matched(studies []qr.Study, warnings []qr.Warning) error {
	r.record("matched %v %v", qrtest.UIDs(studies), codes(warnings))
	return nil
}

func (r *recorder) Moving(p qr.SubOperations) {
	r.record("moving %s %d/%d %s/%s/%s/%s %d/%d", p.StudyInstanceUID, p.Index, p.Total,
		number(p.Remaining), number(p.Completed), number(p.Failed), number(p.Warning), p.CompletedTotal, p.FailedTotal)
	if r.onMoving != nil {
		r.onMoving()
	}
}

func (r *recorder) Retrieved(entry qr.Retrieval) {
	r.record("retrieved %s", lines([]qr.Retrieval{entry})[0])
	if r.onRetrieved != nil {
		r.onRetrieved()
	}
}

// retrieve moves the studies of the filter, by default of P1, to DEST.
func retrieve(t *testing.T, p *dicomtest.ScriptedPACS, f qr.Filter, o qr.Observer) *qr.RetrieveResult {
	t.Helper()
	g := qrtest.For(p, qrtest.Options{})
	if f.PatientID == "" {
		f.PatientID = "P1"
	}
	result, err := g.Retrieve(t.Context(), qr.Call{Observer: o}, qrtest.PACS, f, "DEST")
	require.NoError(t, err)
	qrtest.Events(t, p, g)
	return result
}
