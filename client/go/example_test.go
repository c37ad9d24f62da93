package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"dicom-qr-gateway/client/go"
)

// pacs is a request to the demonstration PACS, which `make run` starts on port 4242.
func pacs(patientID string) client.QueryRequest {
	return client.QueryRequest{
		PACSIP:       "127.0.0.1",
		PACSPort:     pacsPort,
		PACSAETitle:  "ORTHANCA",
		CFindAETitle: "GATEWAY",
		PatientID:    patientID,
	}
}

// toORTHANCB is a request to move the studies to the second demonstration PACS.
func toORTHANCB(patientID string, studyInstanceUIDs ...string) client.RetrieveRequest {
	return client.RetrieveRequest{
		PACSIP:            "127.0.0.1",
		PACSPort:          pacsPort,
		PACSAETitle:       "ORTHANCA",
		CFindAETitle:      "GATEWAY",
		PatientID:         patientID,
		StudyInstanceUIDs: studyInstanceUIDs,
		CMoveAETitle:      "ORTHANCB",
	}
}

// Find the studies of a patient, newest first.
func ExampleGateway_Query() {
	gateway, err := client.NewGateway(gatewayURL)
	if err != nil {
		log.Fatal(err)
	}
	request := pacs("1112223333")
	request.Modalities = []string{"CT"}
	request.MaxResults = new(2)
	found, err := gateway.Query(context.Background(), request, client.WithCorrelationID("order-4711"))
	if err != nil {
		log.Fatal(err)
	}
	for _, study := range found.StudyDetails {
		fmt.Println(study.StudyDate, study.StudyDescription, study.ModalitiesInStudy)
	}
	// Output:
	// 20251103 CT ABDOMEN [CT]
	// 20240101 CT CHEST WITH REPORT [CT SR]
}

// Move the studies of a patient. A response without an error can be partial: retry the studies that were not moved.
func ExampleGateway_Retrieve() {
	gateway, err := client.NewGateway(gatewayURL)
	if err != nil {
		log.Fatal(err)
	}
	moved, err := gateway.Retrieve(context.Background(), toORTHANCB("4445556666"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(moved.Message)
	if moved.Status == client.RetrieveResponseStatusPartial {
		var retry []string
		for _, study := range moved.Retrievals {
			if study.Status != client.RetrievalStatusOk {
				fmt.Println(study.Status, study.DICOMStatus, *study.Completed, "moved,", *study.Failed, "failed")
				retry = append(retry, study.StudyInstanceUID)
			}
		}
		moved, err = gateway.Retrieve(context.Background(), toORTHANCB("4445556666", retry...))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("Retry:", moved.Message)
	}
	// Output:
	// The study was moved in part.
	// partial B000 2 moved, 1 failed
	// Retry: The study was moved in part.
}

// Report the progress of a retrieve. Counters are pointers, because a PACS may leave them out.
func ExampleGateway_Follow() {
	gateway, err := client.NewGateway(gatewayURL)
	if err != nil {
		log.Fatal(err)
	}
	request := toORTHANCB("1112223333")
	request.AccessionNumber = new("ACC-1004")
	for event, err := range gateway.Follow(context.Background(), request) {
		if err != nil {
			log.Fatal(err) // an error of Retrieve, or ErrCutOff
		}
		switch event := event.(type) {
		case *client.MatchedEvent:
			fmt.Println(event.TotalCount, "study to move")
		case *client.ProgressEvent:
			fmt.Println(event.CompletedTotal, "moved")
		case *client.RetrievedEvent:
			fmt.Println("study", event.Status)
		case *client.ResultEvent:
			fmt.Println(event.Message)
		}
	}
	// Output:
	// 1 study to move
	// 1 moved
	// 2 moved
	// 3 moved
	// study ok
	// The study was moved.
}

// Branch on the code of a problem.
func ExampleProblemError() {
	gateway, err := client.NewGateway(gatewayURL)
	if err != nil {
		log.Fatal(err)
	}
	wrongName, unknownDestination := pacs("1112223333"), toORTHANCB("1112223333")
	wrongName.PACSAETitle = "SOMEONE"
	unknownDestination.CMoveAETitle = "NOWHERE"
	ctx := context.Background()

	_, noStudy := gateway.Query(ctx, pacs("NOBODY"))
	_, invalid := gateway.Query(ctx, client.QueryRequest{PACSIP: "127.0.0.1", PACSAETitle: "ORTHANCA", CFindAETitle: "GATEWAY"})
	_, rejected := gateway.Query(ctx, wrongName)
	_, notMoved := gateway.Retrieve(ctx, unknownDestination)
	for _, err := range []error{noStudy, invalid, rejected, notMoved} {
		problem, ok := errors.AsType[*client.ProblemError](err)
		if !ok {
			log.Fatal(err)
		}
		switch problem.Code {
		case client.ProblemCodeNoStudyMatched:
			fmt.Println("no study:", problem.Detail)
		case client.ProblemCodeInvalidRequest:
			for _, fault := range problem.Errors {
				fmt.Println("invalid:", fault.Pointer, fault.Detail)
			}
		case client.ProblemCodeAssociationRejected:
			fmt.Println("rejected:", *problem.DICOM.Reason)
		default:
			fmt.Println("failed:", problem)
		}
	}
	// Output:
	// no study: The PACS has no study of this patient that matches all filters.
	// invalid: /pacs_port is required
	// invalid: /patient_id must be a string of 1 to 64 characters, without wildcards, backslash or control characters and not only spaces
	// rejected: called-AE-title-not-recognized
	// failed: The PACS does not know the move destination. (move_destination_unknown)
}

// Repeat a call that a busy gateway refuses, after the wait that it asks for.
func ExampleWithRetry() {
	refusals := 2
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if refusals--; refusals < 0 {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"operation":"C-FIND","status":"ok","patient_id":"1112223333","study_details":[],"warnings":[]}`)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"type":"urn:dicom-qr-gateway:problem:pacs_busy","title":"PACS busy","status":503,`+
			`"detail":"No association with this PACS became free in time. Try again later.","code":"pacs_busy"}`)
	}))
	gateway, err := client.NewGateway(busy.URL, client.WithRetry(client.Retry{
		Attempts: 3,
		MaxWait:  time.Minute,
		Notify:   func(refusal error, wait time.Duration) { fmt.Println(refusal, "Next attempt in", wait) },
	}))
	if err != nil {
		log.Fatal(err)
	}
	found, err := gateway.Query(context.Background(), pacs("1112223333"))
	if err != nil {
		log.Fatal(err) // a ProblemError with the last refusal
	}
	fmt.Println(found.Status)
	busy.Close()
	// Output:
	// No association with this PACS became free in time. Try again later. (pacs_busy) Next attempt in 0s
	// No association with this PACS became free in time. Try again later. (pacs_busy) Next attempt in 0s
	// ok
}

// Set a time limit. When it expires, the gateway cancels the operation at the PACS with a C-CANCEL.
func ExampleGateway_Query_cancel() {
	gateway, err := client.NewGateway(gatewayURL)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	_, err = gateway.Query(ctx, pacs("1112223333"))
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// true
}

// The way to a PACS, step by step.
func ExampleGateway_Echo() {
	gateway, err := client.NewGateway(gatewayURL, client.WithAPIKey("as the operator gave it"))
	if err != nil {
		log.Fatal(err)
	}
	_, err = gateway.Echo(context.Background(), client.EchoRequest{
		PACSIP: "127.0.0.1", PACSPort: pacsPort, PACSAETitle: "SOMEONE", CFindAETitle: "GATEWAY",
	})
	if problem, ok := errors.AsType[*client.ProblemError](err); ok {
		for _, step := range problem.Steps {
			fmt.Println(step.Step, step.Status)
		}
		fmt.Println(*problem.Steps[len(problem.Steps)-1].Hint)
	}
	// Output:
	// resolve ok
	// connect ok
	// tls skipped
	// associate failed
	// The PACS does not answer to this called AE title. Check pacs_ae_title against the configuration of the PACS; case counts.
}

// Retrieve the instances of a study, and keep none in memory. An error says whether some are missing.
func ExampleGateway_RetrieveInstances() {
	gateway, err := client.NewGateway(gatewayURL)
	if err != nil {
		log.Fatal(err)
	}
	found, err := gateway.Search(context.Background(), "orthanca", "studies", url.Values{"AccessionNumber": {"ACC-1007"}})
	if err != nil {
		log.Fatal(err)
	}
	study := client.Target{StudyInstanceUID: found[0]["0020000D"].Value[0].(string)}
	for instance, err := range gateway.RetrieveInstances(context.Background(), "orthanca", study) {
		if incomplete, ok := errors.AsType[*client.IncompleteError](err); ok {
			log.Fatal(incomplete.Received, " instances arrived: ", incomplete)
		} else if err != nil {
			log.Fatal(err)
		}
		size, err := io.Copy(io.Discard, instance) // a DICOM file
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(instance.TransferSyntax, size > 1000)
	}
	// Output:
	// 1.2.840.10008.1.2.1 true
	// 1.2.840.10008.1.2.1 true
	// 1.2.840.10008.1.2.1 true
	// 1.2.840.10008.1.2.1 true
	// 1.2.840.10008.1.2.1 true
	// 1.2.840.10008.1.2.1 true
	// 1.2.840.10008.1.2.1 true
}
