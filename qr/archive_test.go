package qr_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/qrtest"
)

// expected returns the UIDs of the studies that the filter selects, newest first. It is a simple second implementation.
func expected(studies []dicomtest.Study, f qr.Filter) []string {
	studies = slices.DeleteFunc(slices.Clone(studies), func(s dicomtest.Study) bool {
		shares := func(m string) bool { return slices.Contains(f.Modalities, m) }
		return s.PatientID != f.PatientID ||
			len(f.Modalities) > 0 && !slices.ContainsFunc(s.Modalities(), shares) ||
			len(f.StudyInstanceUIDs) > 0 && !slices.Contains(f.StudyInstanceUIDs, s.UID()) ||
			f.AccessionNumber != "" && s.AccessionNumber != f.AccessionNumber ||
			f.StudyDateFrom != "" && s.StudyDate < f.StudyDateFrom ||
			f.StudyDateTo != "" && (s.StudyDate > f.StudyDateTo || s.StudyDate == "")
	})
	slices.SortStableFunc(studies, func(a, b dicomtest.Study) int {
		if a.StudyDate+a.StudyTime > b.StudyDate+b.StudyTime {
			return -1
		}
		return 1
	})
	uids := []string{}
	for i := range studies {
		uids = append(uids, studies[i].UID())
	}
	if f.MaxResults > 0 {
		uids = uids[:min(f.MaxResults, len(uids))]
	}
	return uids
}

func TestAnswerDoesNotDependOnTheKeysThatThePACSSupports(t *testing.T) {
	studies := demo.Studies()
	everyKey := []dataset.Tag{dataset.PatientID, dataset.StudyInstanceUID, dataset.StudyDate, dataset.AccessionNumber}
	var peers []qr.Peer
	for _, cfg := range []dicomtest.PACSConfig{
		{AETitle: "EVERYKEY"},
		{AETitle: "NOMODALITIES", OmitModalitiesInStudy: true},
		{AETitle: "NOKEY", IgnoreKeys: everyKey},
		{AETitle: "BOTH", IgnoreKeys: everyKey, OmitModalitiesInStudy: true},
	} {
		_, peer := qrtest.Archive(t, cfg, studies...)
		peers = append(peers, peer)
	}
	var patients, uids, accessions, dates []string
	for i := range studies {
		patients = append(patients, studies[i].PatientID)
		uids = append(uids, studies[i].UID())
		accessions = append(accessions, studies[i].AccessionNumber)
		dates = append(dates, studies[i].StudyDate)
	}
	g := qrtest.New(qrtest.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		sometimes := func(values []string, name string) string {
			return rapid.SampledFrom(append(make([]string, len(values)), values...)).Draw(rt, name)
		}
		f := qr.Filter{
			PatientID:         rapid.SampledFrom(append(slices.Repeat([]string{demo.PatientID}, len(patients)), patients...)).Draw(rt, "patient"),
			Modalities:        rapid.SliceOfN(rapid.SampledFrom([]string{"CT", "MR", "US", "SR", "XX"}), 0, 2).Draw(rt, "modalities"),
			StudyInstanceUIDs: rapid.SliceOfN(rapid.SampledFrom(uids), 0, 4).Draw(rt, "UIDs"),
			AccessionNumber:   sometimes(accessions, "accession number"),
			StudyDateFrom:     sometimes(dates, "from"),
			StudyDateTo:       sometimes(dates, "to"),
			MaxResults:        rapid.IntRange(0, 4).Draw(rt, "max"),
		}
		want := expected(studies, f)
		for _, peer := range peers {
			result, err := g.Query(t.Context(), qr.Call{}, peer, f)
			if err != nil {
				rt.Fatalf("%s: %v", peer.CalledAETitle, err)
			}
			if got := qrtest.UIDs(result.Studies); !slices.Equal(got, want) {
				rt.Fatalf("%s: %v, want %v; %v", peer.CalledAETitle, got, want, result.Warnings)
			}
		}
	})
	require.NoError(t, g.Wait(t.Context()))
}

func TestRetrievedStudiesArriveAtTheDestination(t *testing.T) {
	studies := demo.Studies()
	destination, at := qrtest.Archive(t, dicomtest.PACSConfig{AETitle: "DEST"})
	source, peer := qrtest.Archive(t, dicomtest.PACSConfig{
		AETitle: "SOURCE", Destinations: map[string]string{"DEST": at.Address()},
	}, studies...)
	g := qrtest.New(qrtest.Options{})
	result, err := g.Retrieve(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: demo.PatientID}, "DEST")
	require.NoError(t, err)
	require.NoError(t, result.Err)
	assert.Equal(t, len(result.Studies), result.Succeeded())
	assert.NotEmpty(t, result.Studies)
	for _, s := range result.Studies {
		assert.Equal(t, source.StudyInstances(s.StudyInstanceUID), destination.StudyInstances(s.StudyInstanceUID))
	}
	moved := 0
	for i := range studies {
		if studies[i].PatientID == demo.PatientID {
			moved += len(studies[i].Instances())
		}
	}
	assert.Equal(t, moved, destination.Instances(), "only the instances of the patient arrive")
	require.NoError(t, g.Wait(t.Context()))
}

func TestUnknownDestinationFailsEachStudy(t *testing.T) {
	source, peer := qrtest.Archive(t, dicomtest.PACSConfig{AETitle: "SOURCE"}, demo.Studies()...)
	g := qrtest.New(qrtest.Options{})
	result, err := g.Retrieve(t.Context(), qr.Call{}, peer, qr.Filter{PatientID: demo.PatientID, MaxResults: 2}, "UNKNOWN")
	require.NoError(t, err)
	assert.False(t, result.Moved())
	assert.Equal(t, []qr.RetrievalStatus{qr.RetrievalFailed, qr.RetrievalFailed}, []qr.RetrievalStatus{result.Retrievals[0].Status, result.Retrievals[1].Status})
	assert.Equal(t, "A801", result.Retrievals[0].DICOMStatus)
	assert.EqualError(t, result.Err, "move: status A801: refused: move destination unknown")
	assert.Equal(t, 2, source.Operations(dicomnet.StepMove))
	require.NoError(t, g.Wait(t.Context()))
}

func BenchmarkQuery(b *testing.B) {
	_, peer := qrtest.Archive(b, dicomtest.PACSConfig{AETitle: "PACS"}, demo.Studies()...)
	g := qrtest.New(qrtest.Options{})
	for b.Loop() {
		result, err := g.Query(b.Context(), qr.Call{}, peer, qr.Filter{PatientID: demo.PatientID})
		if err != nil || len(result.Studies) == 0 {
			b.Fatal(len(result.Studies), err)
		}
	}
	require.NoError(b, g.Wait(b.Context()))
}
