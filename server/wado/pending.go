package wado

import (
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/problem"
)

// SendMetadata sends the attributes of the instances.
func SendMetadata(*Transfer) error { return &problem.Problem{Code: api.ProblemCodeInternalError} }

// SendBulkData sends one value of an instance.
func SendBulkData(*Transfer) error { return &problem.Problem{Code: api.ProblemCodeInternalError} }
