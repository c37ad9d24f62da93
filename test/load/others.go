package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// others measures how fast other clients get the same answers from the same PACS, if they are installed: Orthanc by its HTTP API,
// and a findscu process per query.
func others(ctx context.Context, b *bench) error {
	for _, other := range []struct {
		program string
		measure func(context.Context, *bench, string) error
	}{{"Orthanc", orthanc}, {"findscu", findscu}} {
		path, err := lookup(other.program)
		if err != nil {
			fmt.Fprintf(os.Stderr, "   %v\n", err)
			continue
		}
		if err := other.measure(ctx, b, path); err != nil {
			return fmt.Errorf("%s: %w", other.program, err)
		}
	}
	return nil
}

// lookup returns the path of a program. Debian installs Orthanc in a folder that only the PATH of root has.
func lookup(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		if path, sbin := exec.LookPath("/usr/sbin/" + program); sbin == nil {
			return path, nil
		}
	}
	return path, err
}

// loads are those of throughput, latency and matches.
var loads = []struct{ callers, studies int }{{manyCallers, 10}, {1, 1}, {1, 1000}}

func (b *bench) other(who string, callers, studies int, rate float64, took time.Duration) {
	value := fmt.Sprintf("%.0f requests/s", rate)
	if callers == 1 {
		value = short(took)
	}
	fmt.Fprintf(os.Stderr, "   %-22s %d callers, %d matches: %s\n", who, callers, studies, value)
	what := fmt.Sprintf("%s, %s", counted(callers, "caller", "callers"), counted(studies, "match", "matches"))
	b.report.others = append(b.report.others, row{what: what, who: who, value: value})
}

// orthanc measures queries of Orthanc to the PACS: POST /modalities/pacs/query. The request for the matches, a second one, is not
// included.
func orthanc(ctx context.Context, b *bench, path string) error {
	const who = "Orthanc, POST /modalities/{id}/query"
	address, port, err := freeAddress()
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "orthanc.json")
	config, err := json.Marshal(map[string]any{
		"StorageDirectory": filepath.Join(b.dir, "orthanc"), "IndexDirectory": filepath.Join(b.dir, "orthanc"), "Plugins": []string{},
		"HttpPort": port, "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomServerEnabled": false,
		"HttpThreadsCount": 2 * manyCallers, "DicomModalities": map[string]any{"pacs": []any{pacsAETitle, "127.0.0.1", b.pacsPort}},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	p, err := b.startProcess(ctx, "Orthanc", address, nil, path, file)
	if err != nil {
		return err
	}
	if err := p.listening(ctx); err != nil {
		return err
	}
	for _, l := range loads {
		body, err := orthancQuery(ctx, p, b.patientID(l.studies), l.studies)
		if err != nil {
			return err
		}
		f, err := b.generate(ctx, "http://"+p.address+"/modalities/pacs/query", body, l.callers, time.Duration(b.seconds)*time.Second)
		if err != nil {
			return err
		}
		if err := f.check("Orthanc", l.callers, 0); err != nil {
			return err
		}
		b.other(who, l.callers, l.studies, f.perSecond(), f.median)
	}
	return nil
}

// orthancQuery returns the body of a query, which it has tried once: it must find all studies.
func orthancQuery(ctx context.Context, p *process, patientID string, studies int) ([]byte, error) {
	body, err := json.Marshal(map[string]any{"Level": "Study", "Query": map[string]string{
		"PatientID": patientID, "PatientName": "", "PatientBirthDate": "", "StudyInstanceUID": "", "StudyDate": "", "StudyTime": "",
		"StudyDescription": "", "ModalitiesInStudy": "", "AccessionNumber": "", "ReferringPhysicianName": "", "InstitutionName": "",
	}})
	if err != nil {
		return nil, err
	}
	var query struct{ Path string }
	if err := call(ctx, http.MethodPost, "http://"+p.address+"/modalities/pacs/query", body, &query); err != nil {
		return nil, err
	}
	var found []string
	if err := call(ctx, http.MethodGet, "http://"+p.address+query.Path+"/answers", nil, &found); err != nil {
		return nil, err
	}
	if len(found) != studies {
		return nil, fmt.Errorf("%d studies, want %d", len(found), studies)
	}
	return body, nil
}

func call(ctx context.Context, method, url string, body []byte, result any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", response.StatusCode, answer)
	}
	return json.Unmarshal(answer, result)
}

// findscu measures queries of findscu, a process each.
func findscu(ctx context.Context, b *bench, path string) error {
	const who = "findscu, one process per query"
	for _, l := range loads {
		query := []string{"-S", "-aec", pacsAETitle}
		for _, key := range []string{
			"QueryRetrieveLevel=STUDY", "PatientID=" + b.patientID(l.studies), "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate",
			"StudyTime", "StudyDescription", "ModalitiesInStudy", "AccessionNumber", "ReferringPhysicianName", "InstitutionName",
		} {
			query = append(query, "-k", key)
		}
		query = append(query, "127.0.0.1", strconv.Itoa(b.pacsPort))
		output, err := exec.CommandContext(ctx, path, append([]string{"-v"}, query...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
		if n := bytes.Count(output, []byte("(Pending)")); n != l.studies {
			return fmt.Errorf("%d studies, want %d", n, l.studies)
		}
		times, took, err := repeat(l.callers, time.Duration(b.seconds)*time.Second, func() error {
			return exec.CommandContext(ctx, path, query...).Run()
		})
		if err != nil {
			return err
		}
		slices.Sort(times)
		b.other(who, l.callers, l.studies, float64(len(times))/took.Seconds(), times[len(times)/2])
	}
	return nil
}

// repeat calls do from several goroutines for the duration d, or until an error. It returns the time of each call.
func repeat(callers int, d time.Duration, do func() error) (times []time.Duration, took time.Duration, err error) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	begin := time.Now()
	for range callers {
		wait.Go(func() {
			for time.Since(begin) < d {
				start := time.Now()
				failed := do()
				mu.Lock()
				times, err = append(times, time.Since(start)), errors.Join(err, failed)
				stop := err != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wait.Wait()
	return times, time.Since(begin), err
}
