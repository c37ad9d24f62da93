//go:build interop

package interop

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
)

// ask calls /q and requires a response with status 200.
func ask(t *testing.T, r goclient.QueryRequest) *goclient.QueryResponse {
	t.Helper()
	reply, err := theSite.gateway.client.QueryWithResponse(t.Context(), nil, r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
	require.NotNil(t, reply.JSON200)
	assert.NotEmpty(t, reply.HTTPResponse.Header.Get("X-Correlation-ID"))
	return reply.JSON200
}

func TestQueryReturnsWhatFindscuReturns(t *testing.T) {
	cases := []struct {
		name   string
		filter filter
		// studies is the number of the demonstration patient's seven studies that match, so that a reference that finds
		// nothing does not agree with a gateway that finds nothing.
		studies int
	}{
		{"no filter", filter{}, 7},
		{"one modality", filter{modalities: []string{"CT"}}, 3},
		{"two modalities", filter{modalities: []string{"MR", "US"}}, 3},
		{"a modality of a study with several", filter{modalities: []string{"SR"}}, 1},
		{"an age", filter{maxYearsOld: 10}, 5},
		{"a result limit", filter{maxResults: 2}, 2},
		{"all filters", filter{modalities: []string{"CT", "MR"}, maxYearsOld: 10, maxResults: 1}, 1},
	}
	for _, src := range theSite.sources {
		for _, tc := range cases {
			t.Run(src.name+"/"+tc.name, func(t *testing.T) {
				want := src.reference(t, demo.PatientID, tc.filter)
				require.Len(t, want, tc.studies)

				got := ask(t, src.query(demo.PatientID, tc.filter))

				assert.Equal(t, goclient.QueryResponseStatusOk, got.Status)
				assert.Equal(t, demo.PatientID, got.PatientID)
				src.assertWarnings(t, got.Warnings)
				// dcmqrscp does not return Modalities in Study. The gateway asks for the modalities of the series only if a
				// filter needs them.
				if src.name == "dcmqrscp" && tc.filter.modalities == nil {
					for i := range want {
						want[i].ModalitiesInStudy = []string{}
					}
				}
				assert.Equal(t, want, sortedModalities(got.StudyDetails))
			})
		}
	}
}

// assertWarnings requires that there are no warnings, or the only one that PixelMed's answers cause.
func (s source) assertWarnings(t *testing.T, warnings []goclient.Warning) {
	t.Helper()
	var codes []goclient.WarningCode
	for _, w := range warnings {
		codes = append(codes, w.Code)
	}
	if s.name == pixelMed {
		assert.Equal(t, []goclient.WarningCode{goclient.OptionalKeysUnsupported}, codes)
		return
	}
	assert.Empty(t, codes)
}

func uids(studies []goclient.Study) []string {
	list := make([]string, 0, len(studies))
	for _, s := range studies {
		list = append(list, s.StudyInstanceUID)
	}
	return list
}

func sortedModalities(studies []goclient.Study) []goclient.Study {
	sorted := slices.Clone(studies)
	for i := range sorted {
		sorted[i].ModalitiesInStudy = slices.Clone(sorted[i].ModalitiesInStudy)
		slices.Sort(sorted[i].ModalitiesInStudy)
	}
	return sorted
}

// The cases with modalities depend on this: one PACS needs the fallback, and the others do not.
func TestOnlyDcmqrscpReturnsNoModalitiesInStudy(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			for _, ds := range src.findscu(t, "STUDY", "PatientID="+demo.PatientID, "StudyInstanceUID", "ModalitiesInStudy") {
				assert.Equal(t, src.name != "dcmqrscp", text(ds, tag.ModalitiesInStudy) != "")
			}
		})
	}
}

func TestQueryDecodesEveryCharacterSet(t *testing.T) {
	for _, src := range theSite.sources {
		for _, study := range demo.Studies() {
			t.Run(src.name+"/"+study.AccessionNumber, func(t *testing.T) {
				got := ask(t, src.query(study.PatientID, filter{}))
				i := slices.IndexFunc(got.StudyDetails, func(s goclient.Study) bool { return s.StudyInstanceUID == study.UID() })
				require.GreaterOrEqual(t, i, 0)
				assert.Equal(t, study.PatientName, got.StudyDetails[i].PatientName)
				assert.Equal(t, study.StudyDescription, got.StudyDetails[i].StudyDescription)
				assert.Equal(t, study.ReferringPhysicianName, got.StudyDetails[i].ReferringPhysicianName)
			})
		}
	}
}

func TestQueryNeverReturnsAnotherPatient(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			for _, study := range demo.Studies() {
				for _, got := range ask(t, src.query(study.PatientID, filter{})).StudyDetails {
					assert.Equal(t, study.PatientID, got.PatientID)
				}
			}
		})
	}
}

func TestQueryWithoutAMatchIsNotFound(t *testing.T) {
	for _, src := range theSite.sources {
		for name, r := range map[string]goclient.QueryRequest{
			"unknown patient":  src.query("UNKNOWN", filter{}),
			"unknown modality": src.query(demo.PatientID, filter{modalities: []string{"PT"}}),
		} {
			t.Run(src.name+"/"+name, func(t *testing.T) {
				reply, err := theSite.gateway.client.QueryWithResponse(t.Context(), nil, r)
				require.NoError(t, err)
				require.Equal(t, http.StatusNotFound, reply.StatusCode(), string(reply.Body))
				assert.Equal(t, goclient.ProblemCodeNoStudyMatched, reply.ApplicationProblemJSON404.Code)
			})
		}
	}
}
