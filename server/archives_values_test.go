package server

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/qr"
)

func TestTextWithBackslashesIsReturnedWhole(t *testing.T) {
	a := archiveOf(t, &dicomtest.ScriptedPACS{Studies: []attributes{
		match(1).With(tag.StudyDescription, `LUNG 2.5\AXIAL REF`).With(tag.InstitutionName, `North\South`).
			With(tag.ReferringPhysicianName, `A^B\C^D`).With(tag.PatientName, `DOE\JOHN`),
		match(2).With(tag.PerformingPhysicianName, `A^B \C^D`),
	}}, false, qr.Options{})
	reply := a.query(t, nil)
	require.Equal(t, http.StatusOK, reply.StatusCode(), "%s", reply.Body)
	first, second := reply.JSON200.StudyDetails[0], reply.JSON200.StudyDetails[1]
	assert.Equal(t, `LUNG 2.5\AXIAL REF`, first.StudyDescription)
	assert.Equal(t, `North\South`, first.InstitutionName)
	assert.Equal(t, `A^B\C^D`, first.ReferringPhysicianName)
	assert.Equal(t, `DOE\JOHN`, first.PatientName)
	assert.Equal(t, `A^B\C^D`, second.PerformingPhysicianName, "this attribute has several values")
	require.Equal(t, []goclient.WarningCode{goclient.ValueMalformed}, codesOf(reply.JSON200.Warnings))
	assert.True(t, strings.HasPrefix(reply.JSON200.Warnings[0].Message, "1 "), reply.JSON200.Warnings[0].Message)
}

func TestEachValueOfAnAttributeMatchesAFilter(t *testing.T) {
	for name, test := range map[string]struct {
		study  attributes
		filter func(*goclient.QueryRequest)
		found  bool
	}{
		"first accession number": {
			match(1).With(tag.AccessionNumber, `A2\A1`), func(r *goclient.QueryRequest) { r.AccessionNumber = new("A2") }, true,
		},
		"second accession number": {
			match(1).With(tag.AccessionNumber, `A2 \ A1`), func(r *goclient.QueryRequest) { r.AccessionNumber = new("A1") }, true,
		},
		"accession number composed otherwise": {
			match(1).With(tag.AccessionNumber, "A\u0308-1").With(tag.SpecificCharacterSet, "ISO_IR 192"),
			func(r *goclient.QueryRequest) { r.AccessionNumber = new("\u00c4-1") }, true,
		},
		"part of an accession number": {
			match(1).With(tag.AccessionNumber, `A2\A1`), func(r *goclient.QueryRequest) { r.AccessionNumber = new("A") }, false,
		},
		"second modality": {
			match(1).With(tag.ModalitiesInStudy, `SR\CT`), func(r *goclient.QueryRequest) { r.Modalities = []string{"CT"} }, true,
		},
		"second date": {
			match(1).With(tag.StudyDate, `20100101\20240101`), func(r *goclient.QueryRequest) { r.StudyDateFrom = day("2023-01-01") }, true,
		},
		"no date": {
			match(1).With(tag.StudyDate, `20100101\20110101`), func(r *goclient.QueryRequest) { r.StudyDateFrom = day("2023-01-01") }, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := archiveOf(t, comparing(test.study), false, qr.Options{})
			reply := a.query(t, test.filter)
			if !test.found {
				assert.Equal(t, http.StatusNotFound, reply.StatusCode(), "%s", reply.Body)
				return
			}
			require.Equal(t, http.StatusOK, reply.StatusCode(), "%s", reply.Body)
			if strings.Contains(test.study[tag.AccessionNumber], `\`) {
				assert.Equal(t, test.study[tag.AccessionNumber], reply.JSON200.StudyDetails[0].AccessionNumber)
			}
		})
	}
}

func day(text string) *goclient.StudyDateFrom {
	d, _ := time.Parse(time.DateOnly, text)
	return &goclient.StudyDateFrom{Time: d}
}

func TestModalitiesThatAreNoCodeStringsAreNotKnown(t *testing.T) {
	for _, text := range []string{"CT/SR", "CT,SR", "CT;SR", "CT|SR", "CT SR", "*", "CT+SR", `CT/SR\MR`, "COMPUTED TOMOGRAPHY"} {
		t.Run(text, func(t *testing.T) {
			isCS := text == "CT SR"
			p := &dicomtest.ScriptedPACS{
				Studies: []attributes{match(1).With(tag.ModalitiesInStudy, text), match(2).With(tag.ModalitiesInStudy, "MR")},
				Series: map[string][]attributes{uidOf(1): {
					{tag.StudyInstanceUID: uidOf(1), tag.Modality: "CT"}, {tag.StudyInstanceUID: uidOf(1), tag.Modality: "SR"},
				}},
			}
			a := archiveOf(t, p, false, qr.Options{})
			filtered := a.query(t, func(r *goclient.QueryRequest) { r.Modalities = []string{"SR"} })
			assert.Equal(t, []string{"1"}, uidsOf(t, filtered))
			assert.Equal(t, []string{"CT", "SR"}, filtered.JSON200.StudyDetails[0].ModalitiesInStudy)
			assert.Equal(t, !isCS, len(filtered.JSON200.Warnings) > 0, "%v", filtered.JSON200.Warnings)

			all := a.query(t, nil)
			assert.Equal(t, []string{"1", "2"}, uidsOf(t, all))
			assert.Equal(t, strings.Split(text, `\`), all.JSON200.StudyDetails[0].ModalitiesInStudy, "nothing vanishes")
			if !isCS {
				assert.Equal(t, []goclient.WarningCode{goclient.ValueMalformed}, codesOf(all.JSON200.Warnings))
			}

			p.Forget()
			assert.Equal(t, http.StatusNotFound, a.query(t, func(r *goclient.QueryRequest) { r.Modalities = []string{"US"} }).StatusCode())
		})
	}
}

func TestStudyWhoseModalitiesRemainUnknownIsDroppedWithAWarning(t *testing.T) {
	p := &dicomtest.ScriptedPACS{
		Studies: []attributes{match(1).With(tag.ModalitiesInStudy, "*"), match(2).With(tag.ModalitiesInStudy, "CT")},
		Series:  map[string][]attributes{uidOf(1): {{tag.StudyInstanceUID: uidOf(1), tag.Modality: "*"}}},
	}
	a := archiveOf(t, p, false, qr.Options{})
	reply := a.query(t, func(r *goclient.QueryRequest) { r.Modalities = []string{"CT"} })
	assert.Equal(t, []string{"2"}, uidsOf(t, reply))
	assert.Contains(t, codesOf(reply.JSON200.Warnings), goclient.ModalitiesUnknown)
}

func TestOddDatesAndTextAreRead(t *testing.T) {
	a := archiveOf(t, &dicomtest.ScriptedPACS{Studies: []attributes{
		match(1).With(tag.StudyDate, "2024-01-31").With(tag.PatientBirthDate, "1970-12-01"),
		match(2).With(tag.StudyDate, "2023.01.31").With(tag.SpecificCharacterSet, "windows-1251").With(tag.StudyDescription, "\xcc\xd0\xd2"),
		match(3).With(tag.StudyDate, "20220131").With(tag.SpecificCharacterSet, "CP1250").With(tag.StudyDescription, "\x8c"),
	}}, false, qr.Options{})
	reply := a.query(t, func(r *goclient.QueryRequest) { r.MaxYearsOld = new(100) })
	require.Equal(t, []string{"1", "2", "3"}, uidsOf(t, reply))
	details := reply.JSON200.StudyDetails
	assert.Equal(t, []string{"20240131", "20230131", "20220131"}, []string{details[0].StudyDate, details[1].StudyDate, details[2].StudyDate})
	assert.Equal(t, "19701201", details[0].DateOfBirth)
	assert.Equal(t, []string{"МРТ", "Ś"}, []string{details[1].StudyDescription, details[2].StudyDescription})
}

func TestElementsWithBlankVRsAreRead(t *testing.T) {
	for _, vr := range []string{"  ", "\x00\x00", "??"} {
		element := func(b []byte, t tag.Tag, vr, value string) []byte {
			if len(value)%2 != 0 {
				value += " "
			}
			b = binary.LittleEndian.AppendUint16(b, t.Group)
			b = binary.LittleEndian.AppendUint16(b, t.Element)
			b = append(b, vr...)
			b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
			return append(b, value...)
		}
		p := &dicomtest.ScriptedPACS{}
		p.Negotiate = func(a *association) bool {
			for i := range a.Answer.Contexts {
				a.Answer.Contexts[i].TransferSyntaxes = []string{string(dataset.ExplicitVRLittleEndian)}
			}
			return true
		}
		p.Find = func(a *association, _ string) {
			var b []byte
			b = element(b, tag.AccessionNumber, vr, "A1")
			b = element(b, tag.StudyDescription, vr, "KNEE")
			b = element(b, tag.PatientID, "LO", patientID)
			b = element(b, tag.StudyInstanceUID, "UI", uidOf(1))
			a.Pending(b)
			a.Finish(dicomnet.StatusSuccess)
		}
		a := archiveOf(t, p, false, qr.Options{})
		reply := a.query(t, func(r *goclient.QueryRequest) { r.AccessionNumber = new("A1") })
		assert.Equal(t, []string{"1"}, uidsOf(t, reply), "%q", vr)
		assert.Equal(t, "KNEE", reply.JSON200.StudyDetails[0].StudyDescription)
		assert.Equal(t, []goclient.WarningCode{goclient.ValueMalformed}, codesOf(reply.JSON200.Warnings))
	}
}

func TestAnnouncedDataSetThatNeverComesIsAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &dicomtest.ScriptedPACS{}
		p.Find = func(a *association, _ string) {
			a.Match(match(1), match(2))
			a.AnnouncedFinish(dicomnet.StatusSuccess)
		}
		p.Move = func(a *association, uid string) {
			m := a.MoveResponse(dicomnet.StatusSuccess, count(1, 0, 0, -1))
			m.Command.HasDataSet = uid == uidOf(1)
			a.SendMessage(m)
		}
		r := startInMemory(t, gatewayTo(t, p, gatewayOptions{}))
		began := time.Now()
		reply, err := r.api.QueryWithResponse(t.Context(), nil, queryRequest())
		require.NoError(t, err)
		assert.Equal(t, []string{"1", "2"}, uidsOf(t, reply))
		require.Len(t, reply.JSON200.Warnings, 1)
		assert.Equal(t, goclient.DataSetMissing, reply.JSON200.Warnings[0].Code)
		assert.Equal(t, 2*time.Second, time.Since(began), "shorter than DIMSE_TIMEOUT")

		moved, err := r.api.RetrieveWithResponse(t.Context(), nil, retrieveRequest())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, moved.StatusCode(), "%s", moved.Body)
		assert.Equal(t, []string{"1 ok 0000 1/0/0", "2 ok 0000 1/0/0"}, linesOf(moved.JSON200.Retrievals))
		require.Len(t, moved.JSON200.Warnings, 1)
		assert.Equal(t, goclient.DataSetMissing, moved.JSON200.Warnings[0].Code)
		assert.True(t, strings.HasPrefix(moved.JSON200.Warnings[0].Message, "2 "), moved.JSON200.Warnings[0].Message)
	})
}

func TestAssociationMayEndInsteadOfTheAnnouncedDataSet(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
				a.Match(match(1))
				a.AnnouncedFinish(dicomnet.StatusSuccess)
				end(a)
			}}
			a := archiveOf(t, p, false, qr.Options{})
			reply := a.query(t, nil)
			assert.Equal(t, []string{"1"}, uidsOf(t, reply))
			assert.Equal(t, []goclient.WarningCode{goclient.DataSetMissing}, codesOf(reply.JSON200.Warnings))
			moved := a.retrieve(t, nil)
			assert.Equal(t, http.StatusOK, moved.StatusCode(), "%s", moved.Body)
		})
	}
}

func TestIdentifierOfTheFinalResponseThatNamesNothingIsNoMatch(t *testing.T) {
	for name, identifier := range map[string]attributes{
		"level only": {tag.QueryRetrieveLevel: "STUDY"},
		"empty keys": {tag.QueryRetrieveLevel: "STUDY", tag.PatientID: "", tag.StudyInstanceUID: ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
				a.Match(match(1))
				a.SendMessage(dicomtest.Response(a.Request, dicomnet.StatusSuccess, identifier.Encode(a.TransferSyntax())))
			}}
			a := archiveOf(t, p, false, qr.Options{})
			reply := a.query(t, nil)
			assert.Equal(t, []string{"1"}, uidsOf(t, reply))
			assert.Empty(t, reply.JSON200.Warnings)
		})
	}
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		a.SendMessage(dicomtest.Response(a.Request, dicomnet.StatusSuccess, match(1).Encode(a.TransferSyntax())))
	}}
	assert.Equal(t, []string{"1"}, uidsOf(t, archiveOf(t, p, false, qr.Options{}).query(t, nil)), "one that names a study is a match")
}

// issuedBy returns a match with an Issuer of Patient ID Qualifiers Sequence of one universal ID.
func issuedBy(universalID string, m attributes) []byte {
	item := attributes{tag.UniversalEntityID: universalID}.Encode(dataset.ImplicitVRLittleEndian)
	var b bytes.Buffer
	for _, n := range []uint16{0x0010, 0x0024} {
		_ = binary.Write(&b, binary.LittleEndian, n)
	}
	_ = binary.Write(&b, binary.LittleEndian, uint32(8+len(item)))
	b.Write([]byte{0xfe, 0xff, 0x00, 0xe0})
	_ = binary.Write(&b, binary.LittleEndian, uint32(len(item)))
	b.Write(item)
	return append(m.Encode(dataset.ImplicitVRLittleEndian), b.Bytes()...)
}

func TestPatientIDOfSeveralPeopleIsAWarning(t *testing.T) {
	person := func(n int, name, birthDate string) attributes {
		return match(n).With(tag.PatientName, name).With(tag.PatientBirthDate, birthDate)
	}
	issuer := func(n int, name string) attributes { return match(n).With(tag.IssuerOfPatientID, name) }
	for name, test := range map[string]struct {
		studies   [][]byte
		ambiguous bool
	}{
		"different issuers":           {encoded(issuer(1, "A"), issuer(2, "B")), true},
		"different universal IDs":     {[][]byte{issuedBy("1.2", match(1)), issuedBy("1.3", match(2))}, true},
		"different people":            {encoded(person(1, "DOE^JOHN", "19700101"), person(2, "ROE^JANE", "19800202")), true},
		"one without an issuer":       {encoded(issuer(1, "A"), match(2)), false},
		"same issuer":                 {encoded(issuer(1, "A"), issuer(2, "A ")), false},
		"same universal ID":           {[][]byte{issuedBy("1.2", match(1)), issuedBy("1.2", match(2))}, false},
		"a name and a universal ID":   {[][]byte{issuedBy("1.2", issuer(1, "A")), issuedBy("1.2", match(2))}, false},
		"another spelling":            {encoded(person(1, "DOE^JOHN", "19700101"), person(2, "Doe^John^^", "1970.01.01")), false},
		"another name after marriage": {encoded(person(1, "DOE^JANE", "19700101"), person(2, "ROE^JANE", "19700101")), false},
		"another composition": {
			encoded(issuer(1, "\u00c4").With(tag.SpecificCharacterSet, "ISO_IR 192"), issuer(2, "A\u0308").With(tag.SpecificCharacterSet, "ISO_IR 192")), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
				for _, s := range test.studies {
					a.Pending(s)
				}
				a.Finish(dicomnet.StatusSuccess)
			}}
			reply := archiveOf(t, p, false, qr.Options{}).query(t, nil)
			assert.Equal(t, []string{"1", "2"}, uidsOf(t, reply), "no study is dropped")
			var want []goclient.WarningCode
			if test.ambiguous {
				want = []goclient.WarningCode{goclient.PatientIdentityAmbiguous}
			}
			assert.Equal(t, want, codesOf(reply.JSON200.Warnings))
		})
	}
}

func encoded(studies ...attributes) [][]byte {
	var list [][]byte
	for _, s := range studies {
		list = append(list, s.Encode(dataset.ImplicitVRLittleEndian))
	}
	return list
}

func TestIssuerOfPatientIDSelectsOnePatient(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		if !a.Keys().Has(tag.IssuerOfPatientID) || !a.Keys().Has(tag.IssuerOfPatientIDQualifiersSequence) {
			a.Failf("no key for the issuer")
		}
		a.Match(match(1).With(tag.IssuerOfPatientID, "HOSPITAL-A"), match(2).With(tag.IssuerOfPatientID, "HOSPITAL-B"), match(3))
		a.Pending(issuedBy("1.2.3", match(4)))
		a.Finish(dicomnet.StatusSuccess)
	}}
	a := archiveOf(t, p, false, qr.Options{})
	by := func(issuer string) func(*goclient.QueryRequest) {
		return func(r *goclient.QueryRequest) { r.IssuerOfPatientID = &issuer }
	}
	reply := a.query(t, by(" HOSPITAL-A "))
	assert.Equal(t, []string{"1"}, uidsOf(t, reply))
	assert.Equal(t, []goclient.WarningCode{goclient.PatientIdentityAmbiguous}, codesOf(reply.JSON200.Warnings), "study 3 was dropped")
	assert.Equal(t, []string{"4"}, uidsOf(t, a.query(t, by("1.2.3"))))
	for _, other := range []string{"HOSPITAL", "hospital-a", "HOSPITAL-C"} {
		assert.Equal(t, http.StatusNotFound, a.query(t, by(other)).StatusCode(), other)
	}
	moved := a.retrieve(t, func(r *goclient.RetrieveRequest) { r.IssuerOfPatientID = new("HOSPITAL-B") })
	require.Equal(t, http.StatusOK, moved.StatusCode(), "%s", moved.Body)
	assert.Equal(t, []string{"2 ok 0000 1/0/0"}, linesOf(moved.JSON200.Retrievals))
}

func TestPatientIDsAreComparedInFormC(t *testing.T) {
	p := &dicomtest.ScriptedPACS{Studies: []attributes{
		match(1).With(tag.PatientID, "A\u030a-1").With(tag.SpecificCharacterSet, "ISO_IR 192"),
		match(2).With(tag.PatientID, "\u00c5-1").With(tag.SpecificCharacterSet, "ISO_IR 192"),
		match(3).With(tag.PatientID, "A-1"),
	}}
	a := archiveOf(t, p, false, qr.Options{})
	for _, id := range []string{"\u00c5-1", "A\u030a-1"} {
		reply := a.query(t, func(r *goclient.QueryRequest) { r.PatientID = id })
		assert.Equal(t, []string{"1", "2"}, uidsOf(t, reply), "%+q", id)
	}
}
