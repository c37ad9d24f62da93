package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// check sends one request, requires the right answer and returns the size of its body.
func (b *bench) check(ctx context.Context, p *process, r request) (size int, err error) {
	body, err := b.ask(ctx, p, r)
	if err != nil {
		return 0, err
	}
	if p.answers {
		if err := r.check(body); err != nil {
			return 0, fmt.Errorf("%s: %s: %w", p.name, r.path, err)
		}
	}
	return len(body), nil
}

// ask sends one request and returns the body of the answer.
func (b *bench) ask(ctx context.Context, p *process, r request) ([]byte, error) {
	method := http.MethodPost
	if r.body == nil {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+p.address+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", p.name, response.StatusCode, body)
	}
	return body, err
}

// checkAnswer requires the number of different studies of the patient, with all attributes, and no warnings.
func checkAnswer(body []byte, patientID string, studies int) error {
	var answer struct {
		Status   string           `json:"status"`
		Studies  []map[string]any `json:"study_details"`
		Warnings []any            `json:"warnings"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if answer.Status != "ok" || len(answer.Warnings) > 0 {
		return fmt.Errorf("status %q, warnings %v", answer.Status, answer.Warnings)
	}
	seen := map[any]bool{}
	for _, study := range answer.Studies {
		seen[study["StudyInstanceUID"]] = true
		if study["PatientID"] != patientID {
			return fmt.Errorf("a study of %q", study["PatientID"])
		}
		const attributes = 12
		if len(study) != attributes {
			return fmt.Errorf("a study of %d attributes", len(study))
		}
		for name, value := range study {
			if modalities, list := value.([]any); value == "" || list && len(modalities) == 0 {
				return fmt.Errorf("a study without %s", name)
			}
		}
	}
	if len(answer.Studies) != studies || len(seen) != studies {
		return fmt.Errorf("%d studies, %d of them different, want %d", len(answer.Studies), len(seen), studies)
	}
	return nil
}
