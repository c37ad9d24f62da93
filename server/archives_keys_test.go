package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
)

// comparing returns a PACS of these studies that compares keys literally: a value must be equal.
func comparing(studies ...attributes) *dicomtest.ScriptedPACS {
	p := &dicomtest.ScriptedPACS{}
	p.Find = func(a *association, _ string) {
		keys := a.Keys()
		for _, s := range studies {
			matches := true
			for t, value := range s {
				raw, _ := keys.Bytes(t)
				key := strings.TrimRight(string(raw), " \x00")
				matches = matches && (key == "" || key == value)
			}
			if matches {
				a.Match(s)
			}
		}
		a.Finish(dicomnet.StatusSuccess)
	}
	return p
}

// refusing makes the PACS end a C-FIND with status if refuses says so.
func refusing(p *dicomtest.ScriptedPACS, status dicomnet.Status, refuses func(*association) bool) *dicomtest.ScriptedPACS {
	find := p.Find
	p.Find = func(a *association, level string) {
		if refuses(a) {
			a.Finish(status)
			return
		}
		find(a, level)
	}
	return p
}

func hasValue(a *association, t tag.Tag) bool {
	value, _ := a.Keys().Bytes(t)
	return len(value) > 0
}

func uidsOf(t *testing.T, reply *goclient.QueryReply) []string {
	t.Helper()
	require.Equal(t, http.StatusOK, reply.StatusCode(), "%s", reply.Body)
	var uids []string
	for _, s := range reply.JSON200.StudyDetails {
		uids = append(uids, strings.TrimPrefix(s.StudyInstanceUID, studyUID+"."))
	}
	return uids
}

func selecting(numbers ...int) func(*goclient.QueryRequest) {
	return func(r *goclient.QueryRequest) {
		for _, n := range numbers {
			r.StudyInstanceUIDs = append(r.StudyInstanceUIDs, uidOf(n))
		}
	}
}

func TestStudiesAreFoundByUIDWhereListsAreNotUnderstood(t *testing.T) {
	studies := []attributes{match(1), match(2), match(3), match(4)}
	isList := func(a *association) bool { return strings.Contains(a.Keys().Text(tag.StudyInstanceUID), `\`) }
	for name, p := range map[string]*dicomtest.ScriptedPACS{
		"compared literally": comparing(studies...),
		"refused":            refusing(comparing(studies...), 0xA900, isList),
		"refused with C000":  refusing(comparing(studies...), 0xC000, isList),
		"one UID refused": refusing(comparing(studies...), 0xC000, func(a *association) bool {
			return hasValue(a, tag.StudyInstanceUID)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			a := archiveOf(t, p, false, qr.Options{})
			assert.Equal(t, []string{"2", "4"}, uidsOf(t, a.query(t, selecting(2, 4))))
			assert.Equal(t, []string{"3"}, uidsOf(t, a.query(t, selecting(3))))
			assert.Equal(t, http.StatusNotFound, a.query(t, selecting(5, 6)).StatusCode())
			for _, e := range p.Events() {
				assert.NotContains(t, e.Detail, `\`, "a list is never sent")
			}
		})
	}
}

func TestStudiesOfAPatientWithManyAreAskedForOneByOne(t *testing.T) {
	p := comparing(match(1), match(2), match(3), match(4))
	a := archiveOf(t, p, false, qr.Options{MaxMatches: 2})
	assert.Equal(t, []string{"2", "4"}, uidsOf(t, a.query(t, selecting(4, 2))))
	assert.Equal(t, http.StatusBadGateway, a.query(t, nil).StatusCode(), "too many without UIDs")
}

func TestRefusedOptionalKeysAreLeftOut(t *testing.T) {
	optional := func(a *association) bool { return a.Keys().Has(tag.InstitutionName) }
	for _, status := range []dicomnet.Status{0xA900, 0xC000, 0xC001, 0xCFFF, 0x0106, 0x0110} {
		t.Run(status.String(), func(t *testing.T) {
			p := refusing(comparing(match(1), match(2)), status, optional)
			a := archiveOf(t, p, false, qr.Options{})
			reply := a.query(t, nil)
			assert.Equal(t, []string{"1", "2"}, uidsOf(t, reply))
			assert.Equal(t, []goclient.WarningCode{goclient.OptionalKeysUnsupported}, codesOf(reply.JSON200.Warnings))
			assert.Equal(t, []string{"associate", "find", "find"}, seen(p)[:3])

			moved := a.retrieve(t, nil)
			assert.Equal(t, http.StatusOK, moved.StatusCode(), "%s", moved.Body)
		})
	}
}

func TestStatusesThatRefuseNoKeyAreNotAskedAgain(t *testing.T) {
	for _, status := range []dicomnet.Status{0xA700, 0x0122, 0x0124, 0xFE00, 0xB000} {
		p := refusing(comparing(match(1)), status, func(*association) bool { return true })
		a := archiveOf(t, p, false, qr.Options{})
		reply := a.query(t, nil)
		assert.Equal(t, http.StatusBadGateway, reply.StatusCode(), "%s", reply.Body)
		assert.Equal(t, []string{"associate", "find"}, seen(p)[:2])
		assert.NotContains(t, seen(p)[2:], "find")
	}
}

func TestQueryThatIsRefusedInEveryFormFails(t *testing.T) {
	p := refusing(comparing(match(1)), 0xC001, func(*association) bool { return true })
	a := archiveOf(t, p, false, qr.Options{})
	reply := a.query(t, func(r *goclient.QueryRequest) { r.MaxYearsOld = new(5) })
	require.Equal(t, http.StatusBadGateway, reply.StatusCode(), "%s", reply.Body)
	assert.Equal(t, goclient.ProblemCodeFindFailed, reply.ApplicationProblemJSON502.Code)
	assert.Equal(t, "C001", *reply.ApplicationProblemJSON502.DICOM.Status)
	finds := 0
	for _, name := range seen(p) {
		if name == "find" {
			finds++
		}
	}
	assert.Equal(t, 4, finds)
}

// A filter that the PACS refuses, or answers with nothing although studies match, is applied by the gateway alone.
func TestMishandledFiltersAreAppliedHere(t *testing.T) {
	long := strings.Repeat("L", 40)
	studies := []attributes{
		match(1).With(tag.AccessionNumber, "A-1"), match(2).With(tag.AccessionNumber, "A-2"), match(3).With(tag.AccessionNumber, long),
	}
	filters := map[string]struct {
		filter func(*goclient.QueryRequest)
		key    tag.Tag
		want   []string
	}{
		"accession number": {func(r *goclient.QueryRequest) { r.AccessionNumber = new("A-2") }, tag.AccessionNumber, []string{"2"}},
		"long accession number": {
			func(r *goclient.QueryRequest) { r.AccessionNumber = &long }, tag.AccessionNumber, []string{"3"},
		},
		"age": {func(r *goclient.QueryRequest) { r.MaxYearsOld = new(100) }, tag.StudyDate, []string{"1", "2", "3"}},
		"UID": {selecting(2), tag.StudyInstanceUID, []string{"2"}},
	}
	for name, test := range filters {
		nothing := func() *dicomtest.ScriptedPACS {
			p := comparing(studies...)
			find := p.Find
			p.Find = func(a *association, level string) {
				if hasValue(a, test.key) {
					a.Finish(dicomnet.StatusSuccess)
					return
				}
				find(a, level)
			}
			return p
		}
		refused := refusing(comparing(studies...), 0xA900, func(a *association) bool { return hasValue(a, test.key) })
		for how, p := range map[string]*dicomtest.ScriptedPACS{"nothing": nothing(), "refused": refused} {
			t.Run(name+"/"+how, func(t *testing.T) {
				a := archiveOf(t, p, false, qr.Options{})
				reply := a.query(t, test.filter)
				assert.Equal(t, test.want, uidsOf(t, reply))
				assert.Equal(t, "CT", strings.Join(reply.JSON200.StudyDetails[0].ModalitiesInStudy, ","), "optional keys are asked for")
			})
		}
	}
}

func TestNothingFoundWithoutAFilterIsFinal(t *testing.T) {
	p := comparing()
	a := archiveOf(t, p, false, qr.Options{})
	assert.Equal(t, http.StatusNotFound, a.query(t, nil).StatusCode())
	assert.Equal(t, []string{"associate", "find"}, seen(p)[:2])
	assert.NotContains(t, seen(p)[2:], "find")
}

// A failure of the plainer query does not make the complete answer to the first one a failure.
func TestNothingFoundIsFinalIfThePlainerQueryFails(t *testing.T) {
	for name, fail := range map[string]func(*association){
		"status":   func(a *association) { a.Finish(0xA700) },
		"close":    func(a *association) { a.Close() },
		"too many": func(a *association) { a.Match(match(1), match(2), match(3)); a.Finish(dicomnet.StatusSuccess) },
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
				if hasValue(a, tag.AccessionNumber) {
					a.Finish(dicomnet.StatusSuccess)
					return
				}
				fail(a)
			}}
			a := archiveOf(t, p, false, qr.Options{MaxMatches: 2})
			reply := a.query(t, func(r *goclient.QueryRequest) { r.AccessionNumber = new("A-9") })
			assert.Equal(t, http.StatusNotFound, reply.StatusCode(), "%s", reply.Body)
		})
	}
}

func TestPatientRootIsUsedWhereStudyRootIsNotAccepted(t *testing.T) {
	for name, refused := range map[string][]string{
		"both":    {dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move},
		"C-FIND":  {dicomnet.StudyRoot.Find},
		"C-MOVE":  {dicomnet.StudyRoot.Move},
		"neither": nil,
	} {
		t.Run(name, func(t *testing.T) {
			p := comparing(match(1), match(2))
			p.Negotiate = func(a *association) bool {
				for _, class := range refused {
					a.Refuse(class)
				}
				return true
			}
			inPatientRoot := len(refused) > 0 && refused[len(refused)-1] == dicomnet.StudyRoot.Move
			p.Move = func(a *association, _ string) {
				want := ""
				if inPatientRoot {
					want = patientID
				}
				if got := a.Keys().String(tag.PatientID); got != want {
					a.Failf("Patient ID %q in the identifier of C-MOVE, want %q", got, want)
				}
				movedAll(a, 1)
			}
			a := archiveOf(t, p, false, qr.Options{})
			assert.Equal(t, []string{"1", "2"}, uidsOf(t, a.query(t, nil)))
			reply := a.retrieve(t, nil)
			require.Equal(t, http.StatusOK, reply.StatusCode(), "%s", reply.Body)
			assert.Equal(t, 2, reply.JSON200.SuccessCount)
		})
	}
}

func TestPACSWithoutEitherModelAnswers502(t *testing.T) {
	p := comparing(match(1))
	p.Negotiate = func(a *association) bool {
		a.Refuse(dicomnet.PatientRoot.Find)
		return a.Refuse(dicomnet.StudyRoot.Find)
	}
	a := archiveOf(t, p, false, qr.Options{})
	query, move := a.query(t, nil), a.retrieve(t, nil)
	require.Equal(t, http.StatusBadGateway, query.StatusCode(), "%s", query.Body)
	require.Equal(t, http.StatusBadGateway, move.StatusCode(), "%s", move.Body)
	assert.Equal(t, goclient.ProblemCodeNoPresentationContext, query.ApplicationProblemJSON502.Code)
	assert.Equal(t, goclient.ProblemCodeNoPresentationContext, move.ApplicationProblemJSON502.Code)
}

// In Patient Root, the identifier of a C-FIND at SERIES level needs the Patient ID.
func TestSeriesAreAskedForInPatientRoot(t *testing.T) {
	p := &dicomtest.ScriptedPACS{}
	p.Negotiate = func(a *association) bool { return a.Refuse(dicomnet.StudyRoot.Find) }
	p.Find = func(a *association, level string) {
		switch {
		case a.Keys().String(tag.PatientID) != patientID:
			a.Finish(0xA900)
			return
		case level == "STUDY":
			a.Match(match(1).With(tag.ModalitiesInStudy, ""))
		default:
			a.Match(attributes{tag.StudyInstanceUID: uidOf(1), tag.Modality: "CT"})
		}
		a.Finish(dicomnet.StatusSuccess)
	}
	a := archiveOf(t, p, false, qr.Options{})
	assert.Equal(t, []string{"1"}, uidsOf(t, a.query(t, func(r *goclient.QueryRequest) { r.Modalities = []string{"CT"} })))
}
