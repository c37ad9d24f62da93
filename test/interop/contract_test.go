//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// contract is a transport that checks every response against openapi.yaml. A response that does not conform is an error.
type contract struct{ spec *openapi3.T }

func loadContract() (*contract, error) {
	spec, err := openapi3.NewLoader().LoadFromFile(root + "/openapi.yaml")
	return &contract{spec}, err
}

// RoundTrip sends the request by http.DefaultTransport and checks the response.
func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))

	item := c.spec.Paths.Find(r.URL.Path)
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r,
			Route:   &routers.Route{Spec: c.spec, Path: r.URL.Path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)},
		},
		Status: response.StatusCode, Header: response.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(r.Context(), input.SetBodyBytes(body)); err != nil {
		return nil, fmt.Errorf("the response does not conform to the contract: %w\n%s", err, body)
	}
	return response, nil
}
