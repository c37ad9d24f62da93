package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"

	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server"
)

// gatewayURL and pacsPort are the addresses of the gateway and of the demonstration PACS in this process.
var (
	gatewayURL string
	pacsPort   int
)

func TestMain(m *testing.M) {
	status, err := withGateway(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// orthanca is the demonstration PACS by its name.
type orthanca struct{ port int }

func (o orthanca) Lookup(name string) (qr.Peer, bool) { return o.List()[0], name == "orthanca" }

func (o orthanca) List() []qr.Peer {
	return []qr.Peer{{
		Name: "orthanca", Host: "127.0.0.1", Port: o.port, CalledAETitle: demo.AETitleA, CallingAETitle: "GATEWAY", Settings: &pool.Settings{},
	}}
}

// withGateway starts the demonstration PACS and a gateway, calls use and stops both.
func withGateway(use func() int) (status int, err error) {
	pacs, err := demo.Start("127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = pacs.Close() }()
	_, port, err := net.SplitHostPort(pacs.A.Addr())
	if err != nil {
		return 0, err
	}
	if pacsPort, err = strconv.Atoi(port); err != nil {
		return 0, err
	}
	contract, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		return 0, err
	}
	settings, err := config.Load(nil)
	if err != nil {
		return 0, err
	}
	associations := pool.New(settings.Pool())
	memory, err := spool.New(settings.Spool())
	if err != nil {
		return 0, err
	}
	queries := qr.New(qr.Options{Pool: associations, MaxMatches: settings.MaxMatches})
	receiver := receive.New(receive.Options{Gateway: queries, Pool: associations, Spool: memory})
	defer func() {
		receiver.Wait()
		err = errors.Join(err, memory.Close())
	}()
	s, err := server.New(server.Options{
		Gateway:        queries,
		Receiver:       server.Receiving(receiver),
		Associations:   associations,
		Contract:       contract,
		MaxOperations:  settings.MaxOperations,
		MaxConnections: settings.MaxConnections,
		PACS:           orthanca{port: pacsPort},
	})
	if err != nil {
		return 0, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	gatewayURL = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, listener) }()
	status = use()
	stop()
	return status, <-served
}
