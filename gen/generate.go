// Package gen holds what is generated from openapi.yaml: gen/api for the server
// and gen/client for callers. `make generate` writes both; `make typescript`
// writes the types of gen/typescript, which need npm.
package gen

//go:generate sh -c "cd .. && bin/oapi-codegen -config gen/api/server.yaml openapi.yaml"
//go:generate sh -c "cd .. && bin/oapi-codegen -config gen/api/spec.yaml openapi.yaml"
//go:generate sh -c "cd .. && bin/oapi-codegen -config gen/client/client.yaml openapi.yaml"
// The generator's comment on the package goes, for doc.go has a better one.
//go:generate sh -c "cd client && awk 'NR > 2 { if (/^package /) print \"\"; print }' client.gen.go >client.tmp && mv client.tmp client.gen.go"
