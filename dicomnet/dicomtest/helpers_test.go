package dicomtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

const aeTitle = "PACS"

// listen runs a PACS until the end of the test.
func listen(t *testing.T, cfg dicomtest.PACSConfig) *dicomtest.PACS {
	t.Helper()
	if cfg.AETitle == "" {
		cfg.AETitle = aeTitle
	}
	pacs := dicomtest.NewPACS(cfg)
	require.NoError(t, pacs.Listen("127.0.0.1:0"))
	t.Cleanup(func() { assert.NoError(t, pacs.Close()) })
	return pacs
}

// listenWithStudies runs a PACS with the demonstration studies until the end of the test.
func listenWithStudies(t *testing.T, cfg dicomtest.PACSConfig) *dicomtest.PACS {
	t.Helper()
	pacs := listen(t, cfg)
	require.NoError(t, pacs.AddStudies(demo.Studies()...))
	return pacs
}

// dial opens an association for Query/Retrieve, Verification and the storage of CT images until the end of the test.
func dial(t *testing.T, pacs *dicomtest.PACS, syntaxes ...dataset.TransferSyntax) *dicomnet.Association {
	t.Helper()
	if len(syntaxes) == 0 {
		syntaxes = []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian}
	}
	const d = 5 * time.Second
	cfg := dicomnet.Config{
		CalledAETitle: aeTitle, CallingAETitle: "TEST",
		Timeouts: dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Move: d, Network: d},
	}
	for _, abstract := range []string{
		dicomnet.VerificationSOPClass, dicomnet.StudyRoot.Find, dicomnet.StudyRoot.Move,
		dicomnet.PatientRoot.Find, dicomnet.PatientRoot.Move, ctImageStorage,
	} {
		cfg.Contexts = append(cfg.Contexts, dicomnet.Context{AbstractSyntax: abstract, TransferSyntaxes: syntaxes})
	}
	assoc, err := dicomnet.Dial(t.Context(), pacs.Addr(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, assoc.Close()) })
	return assoc
}

const ctImageStorage = "1.2.840.10008.5.1.4.1.1.2"

// key is an element of an identifier.
type key struct {
	tag    tag.Tag
	values []string
}

func identifier(level string, keys ...key) *dicom.Dataset {
	ds := &dicom.Dataset{}
	if level != "" {
		ds.Elements = append(ds.Elements, dataset.Text(tag.QueryRetrieveLevel, level))
	}
	for _, k := range keys {
		ds.Elements = append(ds.Elements, dataset.Text(k.tag, k.values...))
	}
	return ds
}

func want(t tag.Tag, values ...string) key { return key{t, values} }

// answer is a copy of a match.
type answer map[tag.Tag][]string

func (a answer) first(t tag.Tag) string {
	if len(a[t]) == 0 {
		return ""
	}
	return a[t][0]
}

// find returns all matches, and the final status as error.
func find(ctx context.Context, assoc *dicomnet.Association, model dicomnet.Model, query *dicom.Dataset) ([]answer, error) {
	var answers []answer
	for match, err := range assoc.Find(ctx, model, query) {
		if err != nil {
			return answers, err
		}
		a := answer{}
		for tg := range match.Tags() {
			a[tg] = match.Strings(tg)
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// move returns all responses.
func move(t *testing.T, assoc *dicomnet.Association, model dicomnet.Model, destination string, query *dicom.Dataset) []dicomnet.RetrieveReport {
	t.Helper()
	var reports []dicomnet.RetrieveReport
	for report, err := range assoc.Move(t.Context(), model, destination, query) {
		if err != nil {
			var status *dicomnet.StatusError
			require.ErrorAs(t, err, &status)
		}
		reports = append(reports, report)
	}
	require.NotEmpty(t, reports)
	require.True(t, reports[len(reports)-1].Final)
	return reports
}

func requireStatus(t *testing.T, want dicomnet.Status, err error) {
	t.Helper()
	var status *dicomnet.StatusError
	require.ErrorAs(t, err, &status)
	require.Equal(t, want, status.Status)
}

// study returns the demonstration study with this accession number.
func study(t *testing.T, accessionNumber string) dicomtest.Study {
	t.Helper()
	for _, s := range demo.Studies() {
		if s.AccessionNumber == accessionNumber {
			return s
		}
	}
	t.Fatalf("no study %s", accessionNumber)
	return dicomtest.Study{}
}
