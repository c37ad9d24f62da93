// Package gen holds what is generated from openapi.yaml: gen/api for the server
// and gen/client for callers. `go generate ./gen` writes both anew.
package gen

//go:generate sh -c "cd .. && go tool oapi-codegen -config gen/api/server.yaml openapi.yaml"
//go:generate sh -c "cd .. && go tool oapi-codegen -config gen/api/spec.yaml openapi.yaml"
//go:generate sh -c "cd .. && go tool oapi-codegen -config gen/client/client.yaml openapi.yaml"
