package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What retrievals are measured against, as the medians of a run: the part of the floor's rate, and times that of DCMTK's getscu or movescu.
const (
	leastOfFloor = 0.6
	leastOfDCMTK = 20
)

// The study that is retrieved from each PACS.
const (
	slices500   = 500
	sliceLength = 512 * 512 * 2
)

// imageStudy returns the Study Instance UID of a study with n images of size bytes, which the recorded PACS has.
func imageStudy(n, size int) string {
	return fmt.Sprintf("2.25.1504132986372085743109117645530.%d.%d", n, size)
}

// retrieval is the result of retrieving a study once.
type retrieval struct {
	took, first, cpu time.Duration
	bytes            int64
}

// perSecond returns the rate in megabytes.
func (r *retrieval) perSecond() float64 { return float64(r.bytes) / 1e6 / r.took.Seconds() }

// retrieve gets a study from a process and reads it as fast as it comes, or at most pace bytes a second if that is not 0.
func retrieve(ctx context.Context, p *process, path string, pace int) (retrieval, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+path, http.NoBody)
	if err != nil {
		return retrieval{}, err
	}
	r.Header.Set("Accept", `multipart/related; type="application/dicom"; transfer-syntax=*`)
	before, err := p.cpu()
	if err != nil {
		return retrieval{}, err
	}
	begin := time.Now()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return retrieval{}, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return retrieval{}, fmt.Errorf("%s: status %d", p.name, response.StatusCode)
	}
	var result retrieval
	buf := make([]byte, 256<<10)
	for {
		n, err := response.Body.Read(buf)
		if result.bytes == 0 && n > 0 {
			result.first = time.Since(begin)
		}
		result.bytes += int64(n)
		if pace > 0 {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(pace))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return retrieval{}, fmt.Errorf("%s: after %d bytes: %w", p.name, result.bytes, err)
		}
	}
	result.took = time.Since(begin)
	if outcome := response.Trailer.Get("Retrieve-Outcome"); p.answers && outcome != "complete" {
		return retrieval{}, fmt.Errorf("%s: outcome %q", p.name, outcome)
	}
	after, err := p.cpu()
	result.cpu = after - before
	return result, err
}

// fetch is what retrieves a study.
type fetch struct {
	*process
	who, path string
	way       string // "" for the floor
	results   []retrieval
}

func (f *fetch) median(value func(*retrieval) float64) float64 { return median(f.results, value) }

// ratio returns the median of the ratios of the rate to that of other in the same round: what else the machine does affects both.
func (f *fetch) ratio(other *fetch) float64 {
	ratios := make([]float64, len(f.results))
	for i := range ratios {
		ratios[i] = f.results[i].perSecond() / other.results[i].perSecond()
	}
	return median(ratios, func(r *float64) float64 { return *r })
}

// retrievals measures a study of 500 CT images: from the recorded PACS, and from dcmqrscp and Orthanc if they are installed.
func retrievals(ctx context.Context, b *bench) error {
	for _, archive := range []struct {
		name  string
		start func(context.Context, *bench) (*archive, error)
	}{{"recorded PACS", recordedArchive}, {"dcmqrscp", dcmqrscp}, {"Orthanc", orthancArchive}} {
		a, err := archive.start(ctx, b)
		if errors.Is(err, errNotInstalled) {
			fmt.Fprintf(os.Stderr, "   %v\n", err)
			continue
		}
		if err == nil {
			err = b.retrievals(ctx, archive.name, a)
		}
		b.stopAll()
		if err != nil {
			return fmt.Errorf("%s: %w", archive.name, err)
		}
	}
	return nil
}

// archive is a PACS with the study.
type archive struct {
	port    int // of DICOM
	aeTitle string
	study   string
	store   int // port to which it sends what is moved to the gateway, 0 if it does not do C-MOVE
	dcmtk   int // port to which it sends what is moved to movescu
	first   time.Duration
}

// The move destinations that every archive knows.
const (
	gatewayTitle = "GATEWAY"
	dcmtkTitle   = "DCMTK"
)

func (b *bench) retrievals(ctx context.Context, name string, a *archive) error {
	floor, err := b.startRetrieveFloor(ctx, a)
	if err != nil {
		return err
	}
	all := []*fetch{{process: floor, who: "floor", path: "/studies/" + a.study}}
	ways := []string{"get"}
	if a.store != 0 {
		ways = append(ways, "move")
	}
	for _, way := range ways {
		p, err := b.startRetriever(ctx, a, way)
		if err != nil {
			return err
		}
		all = append(all, &fetch{process: p, way: way, who: "gateway, C-" + strings.ToUpper(way), path: "/dicomweb/bench/studies/" + a.study})
	}
	for round := range b.rounds + 1 { // the first is not counted
		for _, f := range all {
			if err := f.again(ctx, round); err != nil {
				return err
			}
		}
	}
	var others map[string]time.Duration
	if !b.quick() { // they take more than 20 s each
		if others, err = b.dcmtkRetrievals(ctx, a); err != nil {
			return err
		}
	}
	for _, f := range all {
		b.reportRetrieval(name, f, all[0], others[f.way], a.first)
	}
	for _, way := range ways {
		if took := others[way]; took > 0 {
			b.report.retrievals = append(b.report.retrievals, retrieved{
				pacs: name, who: programs[way], took: took, perSecond: slices500 * sliceLength / 1e6 / took.Seconds(),
			})
		}
	}
	return nil
}

// again retrieves the study once more.
func (f *fetch) again(ctx context.Context, round int) error {
	r, err := retrieve(ctx, f.process, f.path, 0)
	if err != nil {
		return err
	}
	if r.bytes < slices500*sliceLength || r.bytes > slices500*(sliceLength+4096) {
		return fmt.Errorf("%s: %d bytes", f.who, r.bytes)
	}
	if round > 0 {
		f.results = append(f.results, r)
		fmt.Fprintf(os.Stderr, "   round %d  %-18s %8v  first byte %8v  CPU %8v  %5.0f MB/s\n",
			round, f.who, short(r.took), short(r.first), short(r.cpu), r.perSecond())
	}
	return nil
}

// reportRetrieval adds the medians of f, compared with the floor and with the time that a program of DCMTK took.
func (b *bench) reportRetrieval(pacs string, f, floor *fetch, other, wantFirst time.Duration) {
	row := retrieved{
		pacs: pacs, who: f.who, perSecond: f.median((*retrieval).perSecond),
		took:  time.Duration(f.median(func(r *retrieval) float64 { return float64(r.took) })),
		first: time.Duration(f.median(func(r *retrieval) float64 { return float64(r.first) })),
		cpu:   time.Duration(f.median(func(r *retrieval) float64 { return float64(r.cpu) })),
	}
	if f != floor {
		ratio := f.ratio(floor)
		row.ratio = fmt.Sprintf("%.2f of the floor's rate", ratio)
		if f.way == "get" && ratio < leastOfFloor {
			b.report.miss("%s, %s: %.2f of the floor's rate, want %.1f", pacs, f.who, ratio, leastOfFloor)
		}
		if row.first > wantFirst {
			b.report.miss("%s, %s: first byte after %s, want %s", pacs, f.who, short(row.first), short(wantFirst))
		}
	}
	if other > 0 {
		row.ratio += fmt.Sprintf(", %.0f times %s", other.Seconds()/row.took.Seconds(), programs[f.way])
		if other < leastOfDCMTK*row.took {
			b.report.miss("%s, %s: %.0f times as fast as %s, want %d", pacs, f.who, other.Seconds()/row.took.Seconds(), programs[f.way], leastOfDCMTK)
		}
	}
	b.report.retrievals = append(b.report.retrievals, row)
}

// startRetrieveFloor starts the floor for a PACS.
func (b *bench) startRetrieveFloor(ctx context.Context, a *archive) (*process, error) {
	path, err := b.build(ctx, "retrievefloor", "./retrievefloor")
	if err != nil {
		return nil, err
	}
	address, _, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := b.startProcess(ctx, "retrievefloor", address, nil, path, "-pacs", "127.0.0.1:"+strconv.Itoa(a.port), "-aet", a.aeTitle, "-http", address)
	if err != nil {
		return nil, err
	}
	return p, p.listening(ctx)
}

// startRetriever starts a gateway that retrieves in one way, with a spool in files.
func (b *bench) startRetriever(ctx context.Context, a *archive, way string) (*process, error) {
	name := "gateway-" + way
	spool := filepath.Join(b.dir, fmt.Sprintf("spool-%d", len(b.running)))
	if err := os.Mkdir(spool, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	entry := fmt.Sprintf(`pacs:
  bench:
    host: 127.0.0.1
    port: %d
    ae_title: %s
    calling_ae_title: %s
    retrieve: %s
    max_associations: %d
    max_retrievals: %d
`, a.port, a.aeTitle, gatewayTitle, way, manyRetrievals+2, manyRetrievals)
	settings := []string{"SPOOL_DIR=" + spool}
	if way == "move" {
		entry += "    move_destinations: [" + gatewayTitle + "]\n"
		settings = append(settings, fmt.Sprintf("STORE_LISTEN_ADDR=127.0.0.1:%d", a.store), "STORE_AE_TITLES="+gatewayTitle)
	}
	file := filepath.Join(b.dir, name+".yaml")
	if err := os.WriteFile(file, []byte(entry), 0o600); err != nil {
		return nil, err
	}
	return b.startGateway(ctx, name, b.gateway, append(settings, "PACS_FILE="+file)...)
}

// recordedArchive is the recorded PACS.
func recordedArchive(_ context.Context, b *bench) (*archive, error) {
	return &archive{port: b.pacsPort, aeTitle: pacsAETitle, study: imageStudy(slices500, sliceLength), first: 50 * time.Millisecond}, nil
}

// manyRetrievals is how many callers retrieve at once when memory is measured.
const manyRetrievals = 16

// What one caller may need of memory for a large study or instance, and sixteen callers for one study each.
const (
	mostOneCaller   = 64_000_000
	mostManyCallers = 192_000_000
)

// callersOfImages retrieve at once, each a study of its own, so that they do not share a retrieval.
type callersOfImages struct {
	what    string
	study   string
	callers int
	slow    int // of them
	most    int64
}

// images measures the memory of retrievals from the recorded PACS.
func images(ctx context.Context, b *bench) error {
	a, err := recordedArchive(ctx, b)
	if err != nil {
		return err
	}
	all := []callersOfImages{
		{"1 caller with a study of 4 GB", imageStudy(8000, sliceLength), 1, 0, mostOneCaller},
		{"1 caller with an instance of 2 GB", imageStudy(1, 2_000_000_000), 1, 0, mostOneCaller},
		{"1 slow caller with an instance of 200 MB", imageStudy(1, 200_000_000), 1, 1, mostOneCaller},
		{"16 callers with 100 images each, 4 of them slow", imageStudy(100, sliceLength), manyRetrievals, 4, mostManyCallers},
		{"16 callers with an instance of 100 MB each, 4 of them slow", imageStudy(1, 100_000_000), manyRetrievals, 4, mostManyCallers},
	}
	if b.quick() {
		all = []callersOfImages{{"16 callers with 20 images each, 4 of them slow", imageStudy(20, sliceLength), manyRetrievals, 4, mostManyCallers}}
	}
	for _, v := range all {
		p, err := b.startRetriever(ctx, a, "get")
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		idle, err := p.memory("VmRSS")
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := v.retrieve(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", v.what, err)
		}
		peak, err := p.memory("VmHWM")
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "   %-60s %s at the peak, %s\n", v.what, megabytes(peak), short(time.Since(begin)))
		b.report.memory = append(b.report.memory, [2]string{v.what, fmt.Sprintf("%s at the peak, %s idle", megabytes(peak), megabytes(idle))})
		if peak > v.most {
			b.report.miss("%s: %s, want at most %s", v.what, megabytes(peak), megabytes(v.most))
		}
		p.stop()
	}
	return nil
}

// slowPace is how many bytes a slow caller reads per second.
const slowPace = 8_000_000

func (v *callersOfImages) retrieve(ctx context.Context, p *process) error {
	var wait sync.WaitGroup
	results := make([]error, v.callers)
	for i := range v.callers {
		wait.Go(func() {
			pace := 0
			if i < v.slow {
				pace = slowPace
			}
			_, results[i] = retrieve(ctx, p, "/dicomweb/bench/studies/"+differ(v.study, i), pace)
		})
	}
	wait.Wait()
	return errors.Join(results...)
}

// differ returns a study with images that are a little longer, a different study.
func differ(study string, i int) string {
	at := strings.LastIndexByte(study, '.') + 1
	n, _ := strconv.Atoi(study[at:])
	return study[:at] + strconv.Itoa(n+2*i)
}
