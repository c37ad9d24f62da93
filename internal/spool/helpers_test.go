package spool_test

import (
	"iter"

	"dicom-qr-gateway/internal/spool"
)

// pull is iter.Pull2 for instances.
func pull(all iter.Seq2[*spool.Instance, error]) (next func() (*spool.Instance, error, bool), stop func()) {
	return iter.Pull2(all)
}
