// Command dicom-qr-gateway answers JSON over HTTP with what DICOM PACS hold: it
// finds the studies of a patient (C-FIND) and has them moved (C-MOVE).
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // for TZ, where there is nothing but the binary

	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server"
)

//go:embed openapi.yaml
var contract []byte

const usage = `usage: dicom-qr-gateway [command]

  serve        answer requests (the default)
  demo         serve, with two PACS in memory beside it, on this machine only
  healthcheck  ask the running gateway for /health; exit status 0 means healthy
  version      tell the version

Settings are environment variables; docs/settings.md lists them.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args, os.Getenv, os.Stdout)
	stop()
	os.Exit(status)
}

// run is main with everything that it depends on handed in; the result is the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) int {
	command := "serve"
	if len(args) > 1 {
		command = args[1]
	}
	var err error
	switch {
	case len(args) > 2:
		err = fmt.Errorf("one command at most\n\n%s", usage)
	case command == "serve":
		err = serve(ctx, getenv, stdout, nil)
	case command == "demo":
		err = serve(ctx, getenv, stdout, startDemo)
	case command == "healthcheck":
		err = healthcheck(ctx, getenv)
	case command == "version":
		_, err = fmt.Fprintln(stdout, buildInfo())
	case command == "help", command == "-h", command == "--help":
		_, err = io.WriteString(stdout, usage)
	default:
		err = fmt.Errorf("unknown command\n\n%s", usage)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stdout, "dicom-qr-gateway: %v\n", err)
		return 1
	}
	return 0
}

// companion runs beside the gateway, which is reached at baseURL, until it is stopped.
type companion func(stdout io.Writer, baseURL string) (stop func() error, err error)

func serve(ctx context.Context, getenv func(string) string, stdout io.Writer, beside companion) (err error) {
	config, err := server.LoadConfig(getenv)
	if err != nil {
		return err
	}
	stdout = &wholeWrites{w: stdout}
	logger := server.NewLogger(config, stdout)
	build := buildInfo()
	logger.Info().Stringer("build", build).Object("settings", config).Msg("starting")
	if config.AllowedPACS() == nil {
		logger.Warn().Msg("PACS_ALLOWLIST is empty: callers can have the gateway connect to any address that it reaches")
	}
	if !config.AsksForCredentials() {
		logger.Warn().Msg("API_KEYS_FILE and TLS_CLIENT_CA_FILE are empty: whoever reaches the gateway may use it")
	}
	if config.DICOMDebug {
		logger.Warn().Msg("DICOM_DEBUG is on: the log holds patient data")
	}
	watch, err := server.NewTelemetry(config, build, logger)
	if err != nil {
		return err
	}
	defer flush(ctx, watch, logger)
	gateway := qr.New(qr.Options{
		Timeouts:               config.Timeouts(),
		OperationTimeout:       config.OperationTimeout.Duration(),
		MaxMatches:             config.MaxMatches,
		Allow:                  config.AllowedPACS(),
		MaxAssociationsPerPeer: config.MaxAssociationsPerPACS,
		QueueTimeout:           config.QueueLimit(),
		AssociationIdle:        config.AssociationIdle.Duration(),
		Background:             logger.WithContext(context.Background()),
		TLS:                    config.DICOMTLS(),
		Trace:                  watch.Trace(server.NewTrace(config.DICOMDebug)),
		Observe:                watch.Step,
	})
	watch.CountIdle(gateway.Idle)
	s, err := server.New(server.Options{
		Config:    config,
		Gateway:   gateway,
		Contract:  contract,
		Logger:    logger,
		Build:     build,
		Stdout:    stdout,
		Telemetry: watch,
	})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", config.ListenAddr)
	if err != nil {
		return err
	}
	if beside != nil {
		stop, err := beside(stdout, baseURL(listener.Addr().String(), config.ServerTLS() != nil))
		if err != nil {
			_ = listener.Close()
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	defer onHangup(s.Reopen)()
	settle()
	return s.Serve(ctx, listener)
}

// flushTimeout is short: with what is left to running operations it stays within the ten seconds that container runtimes
// commonly give.
const flushTimeout = time.Second

// flush exports the last spans. That they are lost is no fault of the service, which is over.
func flush(ctx context.Context, watch *telemetry.Telemetry, logger zerolog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := watch.Close(ctx); err != nil {
		logger.Warn().Str("reason", err.Error()).Msg("the last traces are lost")
	}
}
