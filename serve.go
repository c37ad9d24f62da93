package main

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/batches"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/environment"
	"dicom-qr-gateway/internal/hangup"
	"dicom-qr-gateway/internal/healthcheck"
	"dicom-qr-gateway/internal/imaging"
	"dicom-qr-gateway/internal/messageid"
	"dicom-qr-gateway/internal/output"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/storelog"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server"
	serverbatch "dicom-qr-gateway/server/batch"
	"dicom-qr-gateway/server/console"
	"dicom-qr-gateway/server/problem"
)

// companion starts something that runs beside the gateway at baseURL, until stop is called.
type companion func(settings *environment.Settings, stdout io.Writer, baseURL string) (stop func() error, err error)

// The rest of the shutdown, after DRAIN_TIMEOUT and the four seconds or less that the server needs.
const (
	// shutdownTimeout limits the shutdown beyond DRAIN_TIMEOUT, whatever blocks.
	shutdownTimeout = 4300 * time.Millisecond
	// traceTimeout is short: together with the time for running operations it stays within the ten seconds that container
	// runtimes commonly grant.
	traceTimeout = 700 * time.Millisecond
	// logTimeout limits the wait for a standard output that blocks.
	logTimeout = 500 * time.Millisecond
)

var errOverdue = errors.New("the shutdown took too long")

// serve runs the gateway with the settings of env until ctx is done. It returns within DRAIN_TIMEOUT and five seconds then.
func serve(ctx context.Context, env *environment.Environment, stdout io.Writer, beside companion) error {
	settings, err := env.Settings()
	if err != nil {
		return err
	}
	if err := env.Export(); err != nil {
		return err
	}
	if location := settings.Location(); location != nil {
		time.Local = location // Go reads TZ itself, but not from a file
	}
	g := &gateway{settings: settings, beside: beside, stdout: output.NewShared(stdout)}
	g.lines = output.NewQueue(g.stdout, func(lines uint64) []byte { return telemetry.DroppedLines(settings.Log(), lines) })
	defer g.lines.Flush(logTimeout)
	ended := make(chan error, 1)
	go func() { ended <- g.run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	overdue := time.NewTimer(settings.DrainTimeout.Duration() + shutdownTimeout)
	defer overdue.Stop()
	select {
	case err := <-ended:
		return err
	case <-overdue.C:
		return errOverdue
	}
}

// gateway is what serve runs.
type gateway struct {
	settings environment.Settings
	beside   companion      // may be nil
	stdout   *output.Shared // for audit records, which wait until they are written
	lines    *output.Queue  // before stdout, for the log, which does not
}

// run runs the gateway until ctx is done.
func (g *gateway) run(ctx context.Context) (err error) {
	settings := &g.settings
	logger := telemetry.NewLogger(settings.Log(), g.lines)
	build := buildInfo()
	logger.Info().Stringer("build", build).Object("settings", settings.Config).Msg("starting")
	settings.LogWarnings(logger)
	settings.LogReloads(logger)
	watch, err := telemetry.New(telemetry.Options{
		Version: build.Version, Commit: build.Commit, GoVersion: build.GoVersion,
		Logger: logger, Tracing: settings.Tracing, Code: problem.CodeOf,
	})
	if err != nil {
		return err
	}
	defer flush(ctx, watch, logger)
	watch.CountDropped(g.lines.Dropped)
	records, err := settings.OpenAuditLog(g.stdout, logger)
	if err != nil {
		return err
	}
	trail := audit.NewTrail(records)
	ids := &messageid.Allocator{}
	associations := pool.New(poolOptions(&settings.Config, watch, logger, ids))
	watch.CountIdle(associations.Idle)
	answers := budget.New(int64(settings.MaxMemory)/4, settings.QueueTimeout.Duration())
	watch.CountReserved(answers.Reserved)
	queries := qr.New(qr.Options{
		Pool:             associations,
		OperationTimeout: settings.OperationTimeout.Duration(),
		MaxMatches:       settings.MaxMatches,
	})
	images, err := imaging.New(ctx, imaging.Options{
		Settings: &settings.Config, Gateway: queries, Associations: associations, MessageIDs: ids, Memory: answers, Telemetry: watch,
		Reports: storelog.New(logger, watch, trail),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, images.Close()) }()
	batch, err := batches.New(ctx, batches.Options{
		Settings: &settings.Config, Gateway: queries, Associations: associations, Telemetry: watch, Audit: trail, Logger: logger,
		Memory: answers, Codes: serverbatch.Codes{}, Describe: serverbatch.Failure,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, batch.Close()) }()
	s, err := server.New(server.Options{
		Gateway:        queries,
		Receiver:       server.Receiving(images.Receiver),
		Spool:          images.Spool(),
		StallTimeout:   settings.StallTimeout.Duration(),
		Associations:   associations,
		Contract:       contract,
		Logger:         logger,
		Build:          build,
		Access:         settings.Access(),
		PACS:           settings.PACS(),
		Storage:        server.StorageSCP{AETitles: images.AETitles(), Port: images.Port()},
		NamedPACSOnly:  !settings.AdHocPACS,
		Console:        consoleOptions(settings),
		TLS:            settings.ServerTLS(),
		Memory:         answers,
		MaxOperations:  settings.MaxOperations,
		MaxConnections: settings.MaxConnections,
		DrainTimeout:   settings.DrainTimeout.Duration(),
		Jobs:           serverbatch.ServiceOf(batch.Jobs()),
		JobsErr:        batch.Err,
		Budget:         batch.Budget,
		Background:     batch.Run,
		Audit:          trail,
		Telemetry:      watch,
	})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", settings.ListenAddr)
	if err != nil {
		return err
	}
	if g.beside != nil {
		stop, err := g.beside(settings, g.lines, healthcheck.BaseURL(listener.Addr().String(), settings.ServerTLS() != nil))
		if err != nil {
			_ = listener.Close()
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	defer hangup.Handle(func() {
		s.Reopen()
		settings.Reread()
	})()
	settings.Memory.Release()
	return s.Serve(ctx, listener)
}

// consoleOptions returns what the page at / offers; nil: it is off.
func consoleOptions(settings *environment.Settings) *console.Options {
	if !settings.Console {
		return nil
	}
	return &console.Options{Viewer: settings.ViewerURL}
}

// poolOptions returns the options of the pool, whose associations are measured and logged.
func poolOptions(settings *config.Config, watch *telemetry.Telemetry, logger zerolog.Logger, ids *messageid.Allocator) pool.Options {
	o := settings.Pool()
	o.MessageID = ids.Next
	o.Background = logger.WithContext(context.Background())
	unnamed := telemetry.NewLogTrace(settings.DICOMDebug, "")
	o.Trace = func(p pool.Peer) *dicomnet.Trace {
		logged := unnamed
		if p.Name != "" {
			logged = telemetry.NewLogTrace(settings.DICOMDebug, p.Name)
		}
		return watch.Trace(p.Label(), logged)
	}
	return o
}

// flush exports the last spans. If they are lost, it logs a warning: the service itself has ended without an error.
func flush(ctx context.Context, watch *telemetry.Telemetry, logger zerolog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceTimeout)
	defer cancel()
	if err := watch.Close(ctx); err != nil {
		logger.Warn().Str("reason", err.Error()).Msg("the last traces are lost")
	}
}
