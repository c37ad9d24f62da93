package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What DICOMweb is measured against: the rate of POST /q for the same studies with default settings, CPU per match, and memory for the
// instances of a series. A run that misses one of them fails.
const (
	leastRate     = 0.8
	mostPerMatch  = 6 * time.Microsecond
	mostInstances = 64_000_000
)

// The attributes that a search includes beside those that every answer has: the two that POST /q has too, and ten.
var (
	includeAsQuery = []string{"InstitutionName", "PerformingPhysicianName"}
	includeTen     = []string{
		"RetrieveAETitle", "InstitutionName", "PhysiciansOfRecord", "PerformingPhysicianName", "NameOfPhysiciansReadingStudy",
		"AdmittingDiagnosesDescription", "PatientAge", "PatientWeight", "Occupation", "AdditionalPatientHistory",
	}
)

// dicomweb measures QIDO-RS: the rate of many callers beside POST /q for the same studies, the cost per match, and the memory that
// the instances of a long series take.
func dicomweb(ctx context.Context, b *bench) error {
	for _, v := range []struct {
		title    string
		least    float64
		settings []string
	}{{"new association", leastRate, nil}, {"association reused", 0, []string{"ASSOCIATION_IDLE=30"}}} {
		if err := b.searchRates(ctx, v.title, v.least, v.settings...); err != nil {
			return err
		}
		b.stopAll()
	}
	if err := b.searchMatches(ctx); err != nil {
		return err
	}
	b.stopAll()
	return b.searchInstances(ctx)
}

// startNamed starts a gateway that knows the PACS by name.
func (b *bench) startNamed(ctx context.Context, settings ...string) (*process, error) {
	file := filepath.Join(b.dir, "pacs.yaml")
	entry := fmt.Sprintf(`pacs:
  bench:
    host: 127.0.0.1
    port: %d
    ae_title: %s
    calling_ae_title: GATEWAY
    profile:
      image_level_find: true
      study_keys: [ModalitiesInStudy, NumberOfStudyRelatedSeries, NumberOfStudyRelatedInstances]
`, b.pacsPort, pacsAETitle)
	if err := os.WriteFile(file, []byte(entry), 0o600); err != nil {
		return nil, err
	}
	return b.startGateway(ctx, "gateway", b.gateway, append(settings, "PACS_FILE="+file)...)
}

// searchRates compares both ways to ask for ten studies, with 32 callers. least is the least rate, as a part of that of POST /q.
func (b *bench) searchRates(ctx context.Context, title string, least float64, settings ...string) error {
	const studies = 10
	p, err := b.startNamed(ctx, settings...)
	if err != nil {
		return err
	}
	patientID := webPatient(studies)
	samples, err := b.compareTargets(ctx, manyCallers, target{p, b.query(patientID, studies)}, target{p, searchStudies(studies, includeAsQuery)})
	if err != nil {
		return err
	}
	query, search := perSecond(samples[0]), perSecond(samples[1])
	for i, who := range []string{"POST /q", "GET /dicomweb/bench/studies"} {
		row := row{
			what: fmt.Sprintf("DICOMweb, %s, %d callers, %d matches", title, manyCallers, studies), who: who,
			value: fmt.Sprintf("%.0f requests/s", perSecond(samples[i])), cpu: cpuTime(samples[i]),
		}
		if i > 0 {
			row.ratio = fmt.Sprintf("%.2f of POST /q", search/query)
		}
		b.report.add(row)
	}
	if search < least*query {
		b.report.miss("%s: %.2f of the rate of POST /q, want %.2f", title, search/query, least)
	}
	return nil
}

// searchMatches measures one caller with 1000 studies and ten included attributes.
func (b *bench) searchMatches(ctx context.Context) error {
	const studies = 1000
	p, err := b.startNamed(ctx)
	if err != nil {
		return err
	}
	samples, err := b.compareTargets(ctx, 1, target{p, searchStudies(studies, includeTen)})
	if err != nil {
		return err
	}
	cpu := cpuTime(samples[0])
	b.report.add(row{
		what: "DICOMweb, 1 caller, " + counted(studies, "match", "matches") + " with ten included attributes", who: "GET /dicomweb/bench/studies",
		value: short(medianTime(samples[0])), cpu: cpu, perMatch: cpu / studies,
	})
	if cpu/studies > mostPerMatch {
		b.report.miss("%v of CPU per match, want at most %v", cpu/studies, mostPerMatch)
	}
	return nil
}

// searchInstances measures the memory for a series of 10,000 instances.
func (b *bench) searchInstances(ctx context.Context) error {
	const instances = 10_000
	p, err := b.startNamed(ctx)
	if err != nil {
		return err
	}
	study := fmt.Sprintf("2.25.1504132986372085743109117645529.%d.1", instances)
	r := request{
		path: "/dicomweb/bench/studies/" + study + "/series/" + study + ".1/instances",
		check: func(body []byte) error {
			return checkObjects(body, "00080018", instances, map[string]string{"0020000D": study})
		},
	}
	idle, peak, err := b.peak(ctx, p, 1, r)
	if err != nil {
		return err
	}
	b.report.note(fmt.Sprintf("memory of the gateway, DICOMweb, 1 caller with %d instances", instances),
		fmt.Sprintf("%s at the peak, %s idle", megabytes(peak), megabytes(idle)))
	if peak > mostInstances {
		b.report.miss("%s for %d instances, want at most %s", megabytes(peak), instances, megabytes(mostInstances))
	}
	return nil
}

func webPatient(studies int) string { return "WEB-" + strconv.Itoa(studies) }

// searchStudies returns the search for the studies of a patient.
func searchStudies(studies int, include []string) request {
	patientID := webPatient(studies)
	parameters := url.Values{"PatientID": {patientID}, "includefield": {strings.Join(include, ",")}}
	const common = 15 // return attributes of PS3.18 table 10.6.3-3 that the PACS has, and the Retrieve URL
	return request{
		path: "/dicomweb/bench/studies?" + parameters.Encode(),
		check: func(body []byte) error {
			return checkObjects(body, "0020000D", studies, map[string]string{"00100020": patientID}, common+len(include))
		},
	}
}

// checkObjects requires the number of objects in the DICOM JSON Model with different UIDs in one attribute, certain values in others,
// and at least the number of attributes, each with a value.
func checkObjects(body []byte, uid string, count int, values map[string]string, attributes ...int) error {
	var objects []map[string]struct{ Value []any }
	if err := json.Unmarshal(body, &objects); err != nil {
		return err
	}
	seen := map[any]bool{}
	for _, object := range objects {
		for tag, attribute := range object {
			if len(attribute.Value) == 0 {
				return fmt.Errorf("%s has no value", tag)
			}
		}
		if len(object[uid].Value) == 0 {
			return errors.New("an object without a UID")
		}
		seen[object[uid].Value[0]] = true
		for tag, want := range values {
			if len(object[tag].Value) == 0 || object[tag].Value[0] != want {
				return fmt.Errorf("%s is not the value asked for", tag)
			}
		}
		for _, least := range attributes {
			if len(object) < least {
				return fmt.Errorf("an object of %d attributes, want %d", len(object), least)
			}
		}
	}
	if len(objects) != count || len(seen) != count {
		return fmt.Errorf("%d objects, %d of them different, want %d", len(objects), len(seen), count)
	}
	return nil
}
