package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// Two requests, one association, and everything in the log: each line that a request caused has its correlation ID, and
// what happens to the association when nobody uses it is nobody's.
func TestTheLogTellsWhoseAnAssociationIsEachTime(t *testing.T) {
	pacs := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "PACS"})
	require.NoError(t, pacs.AddStudies(demo.Studies()...))
	require.NoError(t, pacs.Listen("127.0.0.1:0"))
	_, port, err := net.SplitHostPort(pacs.Addr())
	require.NoError(t, err)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, stdout := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"dicom-qr-gateway"}, environment(map[string]string{
			"LISTEN_ADDR": "127.0.0.1:0", "ASSOCIATION_IDLE": "60", "DICOM_DEBUG": "true",
		}), stdout)
		_ = stdout.Close()
	}()
	ask := func(address, id string) {
		body := fmt.Sprintf(`{"pacs_ip":"127.0.0.1","pacs_port":%s,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY","patient_id":%q}`,
			port, demo.PatientID)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/q", strings.NewReader(body))
		assert.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Correlation-ID", id)
		reply, err := http.DefaultClient.Do(r)
		if assert.NoError(t, err) {
			assert.Equal(t, http.StatusOK, reply.StatusCode)
			assert.NoError(t, reply.Body.Close())
		}
	}
	of := map[string][]string{} // PDUs and ends of associations, by correlation ID
	var address string
	var text bytes.Buffer
	for lines := json.NewDecoder(io.TeeReader(log, &text)); ; {
		var line struct {
			Message, Address, PDU, Outcome string
			ID                             string `json:"correlation_id"`
		}
		if lines.Decode(&line) != nil {
			break
		}
		switch line.Message {
		case "listening":
			address = line.Address
			go ask(address, "A")
		case "pdu":
			of[line.ID] = append(of[line.ID], line.PDU)
		case "association":
			of[line.ID] = append(of[line.ID], line.Outcome)
		case "request":
			if line.ID == "A" {
				go ask(address, "B")
			} else {
				stop()
			}
		}
	}
	require.Zero(t, <-status)
	require.NoError(t, pacs.Close())
	require.Len(t, of, 3, text.String())
	assert.Equal(t, []string{"A-ASSOCIATE-RQ", "A-ASSOCIATE-AC"}, of["A"][:2])
	assert.Equal(t, of["A"][2:], of["B"], "P-DATA-TF alone")
	assert.NotContains(t, of["B"], "A-ASSOCIATE-RQ")
	assert.Equal(t, []string{"A-RELEASE-RQ", "A-RELEASE-RP", "released"}, of[""])
}
