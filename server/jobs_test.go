package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
)

// problemsOfJobs returns the names of the examples of problems that only routes below /jobs have.
func problemsOfJobs(t *testing.T) []string {
	t.Helper()
	ofJobs, elsewhere := map[string]bool{}, map[string]bool{}
	for path, item := range embeddedContract(t).Paths.Map() {
		for _, operation := range item.Operations() {
			for _, response := range operation.Responses.Map() {
				for _, content := range response.Value.Content {
					for _, example := range content.Examples {
						name := example.Ref[strings.LastIndex(example.Ref, "/")+1:]
						if strings.HasPrefix(path, "/jobs") {
							ofJobs[name] = true
						} else {
							elsewhere[name] = true
						}
					}
				}
			}
		}
	}
	var names []string
	for name := range ofJobs {
		if !elsewhere[name] && strings.HasPrefix(name, "Problem") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// routesOfJobs are the routes below /jobs, as methods and paths.
var routesOfJobs = [][2]string{
	{http.MethodPost, "/jobs"}, {http.MethodGet, "/jobs"}, {http.MethodGet, "/jobs/1"}, {http.MethodDelete, "/jobs/1"},
	{http.MethodGet, "/jobs/1/events"}, {http.MethodPost, "/jobs/1/cancel"}, {http.MethodPost, "/jobs/1/retry"},
}

func TestJobsWithoutStorageAreDisabled(t *testing.T) {
	r := start(t, &fakeGateway{})
	for _, route := range routesOfJobs {
		status, _, body := r.do(t, route[0], route[1], strings.NewReader("{}"), "X-Correlation-ID", exampleID)
		require.Equal(t, http.StatusNotImplemented, status, "%s", route)
		assert.Equal(t, goclient.ProblemCodeJobsDisabled, problemIn(t, body).Code)
		assert.Equal(t, example(t, "ProblemJobsDisabled"), asExample(t, body))
	}
	for _, path := range []string{"/jobs", "/jobs/1", "/jobs/1/events"} {
		status, _, body := r.do(t, http.MethodHead, path, nil)
		assert.Equal(t, http.StatusNotImplemented, status, path)
		assert.Empty(t, body)
	}
}
