package telemetry

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJobsAndTheirItemsAreCounted(t *testing.T) {
	tel, err := New(Options{})
	require.NoError(t, err)
	tel.JobFiled("main", "low")
	end := tel.JobItem("main")
	tel.JobItem("main")
	assert.Contains(t, written(t, tel), `dicomqr_job_items_running{peer="main"} 2`)
	end("moved")
	end("failed") // has no effect
	tel.JobItemRecorded("main", "moved")
	tel.JobRedelivered("other") // a name of PACS_FILE, not the label of all other peers
	tel.LeaseLost("main")
	lines := written(t, tel)
	for _, line := range []string{
		`dicomqr_jobs_filed_total{peer="main",priority="low"} 1`,
		`dicomqr_job_items_running{peer="main"} 1`,
		`dicomqr_job_attempts_total{outcome="moved",peer="main"} 1`,
		`dicomqr_job_items_total{outcome="moved",peer="main"} 1`,
		`dicomqr_job_redeliveries_total{peer="other (PACS_FILE)"} 1`,
		`dicomqr_leases_lost_total{peer="main"} 1`,
	} {
		assert.Contains(t, lines, line)
	}
	assert.NotContains(t, strings.Join(lines, "\n"), `outcome="failed"`)
}

func TestQueuesAndLeasesAreMeasuredWhenMetricsAreWritten(t *testing.T) {
	tel, err := New(Options{})
	require.NoError(t, err)
	for _, line := range written(t, tel) {
		assert.NotContains(t, line, "dicomqr_jobs_up", "without jobs")
		assert.NotContains(t, line, "dicomqr_leases{", "without leases")
	}
	jobs := Jobs{Up: true, Queues: []JobQueue{{PACS: "main", Priority: "normal", Queued: 7, Waiting: 3, Oldest: 90 * time.Second}}}
	tel.CountJobs(func() Jobs { return jobs })
	tel.CountLeases(func() []Lease { return []Lease{{PACS: "main", Reserved: 1, Leased: 2, Used: 3, Limit: 6}} })
	lines := written(t, tel)
	for _, line := range []string{
		`dicomqr_jobs_up 1`,
		`dicomqr_job_items{peer="main",priority="normal",state="queued"} 7`,
		`dicomqr_job_items{peer="main",priority="normal",state="waiting"} 3`,
		`dicomqr_job_oldest_seconds{peer="main",priority="normal"} 90`,
		`dicomqr_leases{kind="reserved",peer="main"} 1`,
		`dicomqr_leases{kind="leased",peer="main"} 2`,
		`dicomqr_leases{kind="used",peer="main"} 3`,
		`dicomqr_leases{kind="limit",peer="main"} 6`,
	} {
		assert.Contains(t, lines, line)
	}
	jobs = Jobs{}
	assert.Contains(t, written(t, tel), `dicomqr_jobs_up 0`)
}
