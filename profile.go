//go:build profile

package main

import "dicom-qr-gateway/internal/profile"

func init() { go profile.Record() }
