//go:build interop

package interop

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/rig"
)

// destination is a move destination whose contents the tests can read.
type destination interface {
	title() string
	clear(t *testing.T)
	// received returns the SOP Instance UIDs of what arrived, by Study Instance UID.
	received(t *testing.T) map[string][]string
}

// site is everything that runs for the tests: three PACS with the synthetic studies, two destinations and the gateway.
type site struct {
	tests     *testing.M
	processes []*rig.Process

	sources      []source
	orthanc      orthanc // the source of that name
	destinations []destination
	gateway      *gateway
	closedPort   int
	storePort    int    // of a gateway's storage SCP, the move destination gatewayAETitle
	pacsFile     string // names the sources
}

// root is the root of the repository.
const root = "../.."

// downAETitle is a move destination that all PACS are configured with and that does not run.
const downAETitle = "DOWN"

var theSite site

func TestMain(m *testing.M) {
	theSite.tests = m
	os.Exit(rig.Main(&theSite))
}

// Run runs the tests and returns their exit status.
func (s *site) Run() (status int) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	defer s.stop()
	if err := s.start(dir); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		return 1
	}
	status = s.tests.Run()
	s.gateway.Stop()
	if end := s.gateway.ExitStatus(); end != 0 {
		fmt.Fprintf(os.Stderr, "the gateway ended with exit status %d:\n%s", end, s.gateway.Tail())
		return max(status, 1)
	}
	return status
}

// named returns the source with this name.
func (s *site) named(name string) source {
	return s.sources[slices.IndexFunc(s.sources, func(src source) bool { return src.name == name })]
}

func (s *site) stop() {
	for _, p := range slices.Backward(s.processes) {
		p.Stop()
	}
}

// started adds a process to those that stop ends, even if it did not become ready.
func (s *site) started(p *rig.Process, err error) error {
	if p != nil {
		s.processes = append(s.processes, p)
	}
	return err
}

func (s *site) start(dir string) error {
	if err := s.check(); err != nil {
		return err
	}
	ports, err := freePorts(11)
	if err != nil {
		return err
	}
	qrscp := source{"dcmqrscp", "QRSCP", ports[0]}
	orthancA := orthanc{source{"Orthanc", "ORTHANCA", ports[1]}, ports[2]}
	orthancB := orthanc{source{"Orthanc", "ORTHANCB", ports[3]}, ports[4]}
	pixelmed := source{pixelMed, "PIXELMED", ports[8]}
	files := storescp{aeTitle: "STORESCP", dir: filepath.Join(dir, "received"), port: ports[5]}
	s.sources, s.orthanc = []source{qrscp, orthancA.source, pixelmed}, orthancA
	s.destinations = []destination{files, orthancB}
	s.closedPort, s.storePort = ports[7], ports[10]

	known := map[string]int{files.aeTitle: files.port, orthancB.aeTitle: orthancB.port, downAETitle: s.closedPort, gatewayAETitle: s.storePort}
	if err := errors.Join(
		s.started(startQRSCP(subdir(dir, "qrscp"), qrscp, known)),
		s.started(startPixelMed(subdir(dir, "pixelmed"), pixelmed, ports[9], known)),
		s.started(startStoreSCP(dir, files)),
		s.started(startOrthanc(subdir(dir, "a"), orthancA, known, nil)),
		s.started(startOrthanc(subdir(dir, "b"), orthancB, nil, nil)),
	); err != nil {
		return err
	}
	if err := s.load(subdir(dir, "studies")); err != nil {
		return err
	}
	s.pacsFile, err = writePACSFile(dir, s.sources)
	if err != nil {
		return err
	}
	g, err := rig.StartGateway(gatewayCommand(dir, ports[6], "PACS_FILE="+s.pacsFile))
	if g != nil {
		err = s.started(g.Process, err)
	}
	if err != nil {
		return err
	}
	s.gateway, err = newGateway(g)
	return err
}

// check returns an error that names every program that is missing.
func (s *site) check() error {
	var missing []error
	for _, program := range slices.Sorted(maps.Keys(packages)) {
		_, err := lookup(program)
		missing = append(missing, err)
	}
	_, err := classPath()
	missing = append(missing, err, checkClients())
	return errors.Join(missing...)
}

func (s *site) load(dir string) error {
	var files []string
	for _, study := range loaded() {
		paths, err := dicomtest.WriteDir(dir, study.Instances())
		if err != nil {
			return err
		}
		files = append(files, paths...)
	}
	for _, src := range s.sources {
		if err := src.load(files); err != nil {
			return fmt.Errorf("loading %s: %w", src.name, err)
		}
	}
	return nil
}

// loaded returns the studies that the sources hold.
func loaded() []dicomtest.Study {
	return native(slices.Concat(demo.Studies(), demo.ImagingStudies(), pagedStudies()))
}

// pagedStudies returns studies of one patient for pages: several a day, and some without a date.
func pagedStudies() []dicomtest.Study {
	studies := make([]dicomtest.Study, 0, 25)
	for i := range cap(studies) {
		s := dicomtest.Study{
			PatientID: "PAGED", PatientName: "PAGE^PAUL", AccessionNumber: fmt.Sprintf("PAGE-%02d", i),
			StudyDate: fmt.Sprintf("201%d0704", i/4), StudyTime: fmt.Sprintf("%02d0000", 8+i%2), StudyDescription: "PAGE",
			Series: []dicomtest.Series{{Modality: "CR"}},
		}
		if i >= 22 {
			s.StudyDate, s.StudyTime = "", ""
		}
		studies = append(studies, s)
	}
	return studies
}

// native returns the studies without compressed pixels, which dcmqrscp and PixelMed do not store.
func native(studies []dicomtest.Study) []dicomtest.Study {
	return slices.DeleteFunc(slices.Clone(studies), func(s dicomtest.Study) bool {
		return slices.ContainsFunc(s.Instances(), func(in *dicomtest.Instance) bool { return in.TransferSyntax() != "" })
	})
}

// subdir makes a directory. A failure shows at its first use.
func subdir(dir, name string) string {
	path := filepath.Join(dir, name)
	_ = os.Mkdir(path, 0o700)
	return path
}
