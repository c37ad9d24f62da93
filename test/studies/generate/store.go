package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// target is the PACS to store instances in.
type target struct {
	aeTitle, address string
	dial             func(ctx context.Context, network, address string) (net.Conn, error) // nil: TCP
}

func parseTarget(s string) (target, error) {
	aeTitle, address, found := strings.Cut(s, "@")
	if !found || aeTitle == "" {
		return target{}, errors.New("-store takes AETITLE@HOST:PORT")
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return target{}, fmt.Errorf("-store takes AETITLE@HOST:PORT: %w", err)
	}
	return target{aeTitle: aeTitle, address: address}, nil
}

const (
	timeout       = 10 * time.Second // of each step of an association
	retryInterval = 200 * time.Millisecond
)

// store sends the instances over one association and stops at the first that the PACS refuses.
func (t target) store(ctx context.Context, calling string, wait time.Duration, instances []*dicomtest.Instance) (err error) {
	assoc, err := t.connect(ctx, calling, wait, dicomtest.StorageContexts(instances))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, assoc.Close()) }()
	for i, in := range instances {
		request, err := in.StoreRequest(assoc)
		if err != nil {
			return err
		}
		if _, err := assoc.Store(ctx, request); err != nil {
			return fmt.Errorf("instance %d of %d: %w", i+1, len(instances), err)
		}
	}
	return nil
}

// connect opens an association. It retries for wait while nothing accepts connections.
func (t target) connect(ctx context.Context, calling string, wait time.Duration, contexts []dicomnet.Context) (*dicomnet.Association, error) {
	cfg := dicomnet.Config{
		CalledAETitle: t.aeTitle, CallingAETitle: calling, Contexts: contexts, DialContext: t.dial,
		Timeouts: dicomnet.Timeouts{Connection: timeout, ACSE: timeout, DIMSE: timeout, Network: timeout},
	}
	for start := time.Now(); ; {
		assoc, err := dicomnet.Dial(ctx, t.address, cfg)
		op, failed := errors.AsType[*dicomnet.OpError](err)
		if !failed || op.Step != dicomnet.StepConnect || time.Since(start) >= wait {
			return assoc, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retryInterval):
		}
	}
}
