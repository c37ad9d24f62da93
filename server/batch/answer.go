package batch

import (
	"fmt"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/qr"
)

func jobOf(j *jobs.Job) api.Job {
	job := api.Job{
		Job: j.ID, State: api.JobState(j.State), PACS: j.PACS, CMoveAETitle: optional(j.Destination), DryRun: j.DryRun,
		NotBefore: instant(j.NotBefore), Priority: api.JobPriority(j.Priority), FiledAt: *instant(j.FiledAt), FiledBy: j.FiledBy,
		FinishedAt: instant(j.FinishedAt), ExpiresAt: *instant(j.ExpiresAt), Run: j.Run,
		Counts: api.JobCounts{
			Items: j.Counts.Items, Queued: j.Counts.Queued, Running: j.Counts.Running, Waiting: j.Counts.Waiting,
			Moved: j.Counts.Moved, Partial: j.Counts.Partial, Failed: j.Counts.Failed,
			NoStudyMatched: j.Counts.NoStudyMatched, Cancelled: j.Counts.Cancelled, Found: j.Counts.Found,
		},
	}
	if j.Window != nil {
		job.Window = new(j.Window.String())
	}
	return job
}

func pageOf(j *jobs.Job, items []jobs.ItemReport, total int) api.JobPage {
	job := jobOf(j)
	page := api.JobPage{
		Job: job.Job, State: job.State, PACS: job.PACS, CMoveAETitle: job.CMoveAETitle, DryRun: job.DryRun, NotBefore: job.NotBefore,
		Window: job.Window, Priority: job.Priority, FiledAt: job.FiledAt, FiledBy: job.FiledBy, FinishedAt: job.FinishedAt,
		ExpiresAt: job.ExpiresAt, Run: job.Run, Counts: job.Counts, Total: total, Items: make([]api.JobItemReport, len(items)),
	}
	for i := range items {
		page.Items[i] = reportOf(&items[i])
	}
	return page
}

func reportOf(i *jobs.ItemReport) api.JobItemReport {
	report := api.JobItemReport{
		Item: i.Number, State: api.JobItemState(i.State), Attempts: i.Attempts, NextAttemptAt: instant(i.NextAttemptAt),
		PatientID: optional(i.Item.PatientID), AccessionNumber: optional(i.Item.AccessionNumber),
		StudyInstanceUID: optional(i.Item.StudyInstanceUID), IssuerOfPatientID: optional(i.Item.IssuerOfPatientID),
		Modalities: i.Item.Modalities, MaxYearsOld: positive(i.Item.MaxYearsOld), MaxResults: positive(i.Item.MaxResults),
		StudyInstanceUIDs: i.Item.StudyInstanceUIDs,
		StudyDateFrom:     dateOf(i.Item.StudyDateFrom), StudyDateTo: dateOf(i.Item.StudyDateTo),
		Warnings: warningsOf(i),
	}
	if f := i.Failure; f != nil {
		report.Code, report.Detail, report.Hint = new(api.ProblemCode(f.Code)), optional(f.Detail), optional(f.Hint)
		if d := f.DICOM; d != nil {
			report.DICOM = &api.DICOMFault{
				Step: api.DICOMFaultStep(d.Step), Status: optional(d.Status), Meaning: optional(d.Meaning),
				Result: optional(d.Result), Source: optional(d.Source), Reason: optional(d.Reason),
			}
		}
	}
	for k := range i.Retrievals {
		report.Retrievals = append(report.Retrievals, retrievalOf(&i.Retrievals[k]))
	}
	for k := range i.Studies {
		s := &i.Studies[k]
		report.Studies = append(report.Studies, api.JobStudy{
			StudyInstanceUID: s.StudyInstanceUID, StudyDescription: s.StudyDescription, ModalitiesInStudy: list(s.ModalitiesInStudy),
			StudyDate: s.StudyDate, AccessionNumber: s.AccessionNumber,
		})
	}
	return report
}

func retrievalOf(r *qr.Retrieval) api.Retrieval {
	return api.Retrieval{
		StudyInstanceUID: r.StudyInstanceUID, Status: api.RetrievalStatus(r.Status), DICOMStatus: r.DICOMStatus,
		Completed: r.Completed, Failed: r.Failed, Warning: r.Warning, FailedSOPInstanceUIDs: list(r.FailedSOPInstanceUIDs),
	}
}

func warningsOf(i *jobs.ItemReport) []api.Warning {
	var warnings []api.Warning
	for _, w := range i.Warnings {
		warnings = append(warnings, api.Warning{Code: api.WarningCode(w.Code), Message: w.Message})
	}
	if i.Cut > 0 {
		warnings = append(warnings, api.Warning{
			Code: api.FailedInstancesCut, Message: fmt.Sprintf("%d entries of the outcome are left out, because it is too long; the counters are complete", i.Cut),
		})
	}
	return warnings
}

// dateOf returns a DA value as a date; nil for "".
func dateOf(value string) *openapi_types.Date {
	day, err := time.Parse("20060102", value)
	if err != nil {
		return nil
	}
	return &openapi_types.Date{Time: day}
}

// optional returns a pointer to s; nil for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// positive returns a pointer to n; nil for zero.
func positive(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// list returns an empty list for nil, which JSON would show as null.
func list(values []string) []string {
	if values == nil {
		return []string{}
	}
	return values
}
