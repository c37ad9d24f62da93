//go:build interop

package interop

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// largestStudy returns the demonstration study with the most instances.
func largestStudy() dicomtest.Study {
	return slices.MaxFunc(demo.Studies(), func(a, b dicomtest.Study) int { return len(a.Instances()) - len(b.Instances()) })
}

// dialToReceive opens an association for the C-GET of a study.
func dialToReceive(t *testing.T, src source, study dicomtest.Study) *dicomnet.Association {
	t.Helper()
	const d = 20 * time.Second
	cfg := dicomnet.Config{
		CalledAETitle: src.aeTitle, CallingAETitle: "GATEWAY",
		Timeouts: dicomnet.Timeouts{Connection: d, ACSE: d, DIMSE: d, Network: d},
		Limits:   dicomnet.Limits{MaxPDULength: dicomnet.RetrievalPDULength},
		Contexts: []dicomnet.Context{
			{AbstractSyntax: dicomnet.StudyRoot.Get, TransferSyntaxes: []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian}},
		},
	}
	for _, pc := range dicomtest.StorageContexts(study.Instances()) {
		pc.TransferSyntaxes = pc.TransferSyntaxes[:1]
		cfg.Contexts = append(cfg.Contexts, pc)
		if !slices.ContainsFunc(cfg.Roles, func(r dicomnet.Role) bool { return r.SOPClassUID == pc.AbstractSyntax }) {
			cfg.Roles = append(cfg.Roles, dicomnet.Role{SOPClassUID: pc.AbstractSyntax, SCP: true})
		}
	}
	assoc, err := dicomnet.Dial(t.Context(), address(src.port), cfg)
	// dcmqrscp counts associations of tests before for a moment after they have ended.
	for until := time.Now().Add(d); rejectedForNow(err) && time.Now().Before(until); assoc, err = dicomnet.Dial(t.Context(), address(src.port), cfg) {
		time.Sleep(100 * time.Millisecond)
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = assoc.Close() })
	return assoc
}

func rejectedForNow(err error) bool {
	rejected, ok := errors.AsType[*dicomnet.RejectError](err)
	return ok && rejected.Result == 2
}

func studyIdentifier(study dicomtest.Study) *dataset.Dataset {
	return &dataset.Dataset{Elements: []*dataset.Element{
		dataset.Text(tag.QueryRetrieveLevel, "STUDY"), dataset.Text(tag.StudyInstanceUID, study.UID()),
	}}
}

// writeInstance writes an instance that arrives to a DICOM file.
func writeInstance(in *dicomnet.Instance, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(in.Append(nil)); err != nil {
		return err
	}
	if _, err := in.WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}

func TestInstancesOfCGetAreFilesThatDCMTKReads(t *testing.T) {
	study := largestStudy()
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			assoc := dialToReceive(t, src, study)
			assert.False(t, assoc.UnconfirmedSCP())
			dir, files := t.TempDir(), map[string]string{}
			for in, err := range assoc.Get(t.Context(), dicomnet.StudyRoot, studyIdentifier(study), nil) {
				require.NoError(t, err)
				path := filepath.Join(dir, fmt.Sprint(len(files), ".dcm"))
				require.NoError(t, writeInstance(in, path))
				files[in.SOPInstanceUID] = path
			}
			require.Len(t, files, len(study.Instances()))
			for _, in := range study.Instances() {
				uid := in.Text(tag.SOPInstanceUID)
				text, err := run("dcmdump", "+P", "0002,0003", "+P", "0002,0017", "+P", "0008,0018", "+P", "0010,0020", files[uid])
				require.NoError(t, err)
				assert.Equal(t, 2, strings.Count(text, "["+uid+"]"), text)
				assert.Contains(t, text, "["+src.aeTitle+"]")
				assert.Contains(t, text, "["+in.Text(tag.PatientID)+"]")
			}
		})
	}
}

func TestCGetThatIsCancelledLeavesThePACSFree(t *testing.T) {
	study := largestStudy()
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			assoc := dialToReceive(t, src, study)
			for _, err := range assoc.Get(t.Context(), dicomnet.StudyRoot, studyIdentifier(study), nil) {
				require.NoError(t, err)
				break
			}
			// dcmqrscp may keep its archive locked until the association ends, so the gateway keeps none after C-CANCEL-RQ.
			require.NoError(t, assoc.Close())
			again := dialToReceive(t, src, study)
			n := 0
			for in, err := range again.Get(t.Context(), dicomnet.StudyRoot, studyIdentifier(study), nil) {
				require.NoError(t, err)
				_, err := in.WriteTo(io.Discard)
				require.NoError(t, err)
				n++
			}
			assert.Equal(t, len(study.Instances()), n)
		})
	}
}
