module dicom-qr-gateway/samples/clients/go

go 1.26.0

require (
	dicom-qr-gateway v0.0.0
	github.com/schollz/progressbar/v3 v3.19.0
)

require (
	github.com/apapsch/go-jsonmerge/v2 v2.0.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/mitchellh/colorstring v0.0.0-20190213212951-d06e56a500db // indirect
	github.com/oapi-codegen/runtime v1.8.0 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/term v0.28.0 // indirect
)

replace dicom-qr-gateway => ../../..
