package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"dicom-qr-gateway/gen/goclient"
)

// Search studies with DICOMweb. The generated client has the six searches; a key that is no field of its parameters goes into
// Attributes.
func Example_search() {
	gateway, err := goclient.NewClientWithResponses(gatewayURL)
	if err != nil {
		log.Fatal(err)
	}
	reply, err := gateway.SearchStudiesWithResponse(context.Background(), "orthanca", &goclient.SearchStudiesParams{
		PatientID:         new("1112223333"),
		ModalitiesInStudy: new("CT"),
		Attributes:        goclient.OtherAttributes{"StudyDescription": "*ABDOMEN*"},
		Limit:             new(1),
	})
	if err != nil {
		log.Fatal(err)
	}
	if reply.StatusCode() != http.StatusOK {
		log.Fatalf("%s: %s", reply.Status(), reply.Body)
	}
	for _, study := range *reply.ApplicationDICOMJSON200 {
		fmt.Println(study["00080020"].Value[0], study["00081030"].Value[0])
	}
	// Output: 20251103 CT ABDOMEN
}
