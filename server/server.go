// Package server is the HTTP side of the gateway: routes, middleware, validation, handlers, events and shutdown. Handlers
// translate between the contract and package qr, which defines what a query and a retrieve are.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/access"
	"dicom-qr-gateway/server/batch"
	"dicom-qr-gateway/server/console"
	"dicom-qr-gateway/server/listener"
	"dicom-qr-gateway/server/problem"
	"dicom-qr-gateway/server/wado"
)

// Gateway runs operations; *qr.Gateway implements it. The methods are safe for concurrent use and return soon after their
// context is done.
type Gateway interface {
	Query(ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter) (*qr.QueryResult, error)
	Retrieve(ctx context.Context, c qr.Call, p qr.Peer, f qr.Filter, destination string) (*qr.RetrieveResult, error)
	Echo(ctx context.Context, c qr.Call, p qr.Peer) *qr.EchoReport
	Examine(ctx context.Context, c qr.Call, p qr.Peer, probe bool) *qr.EchoReport
	Search(ctx context.Context, c qr.Call, p qr.Peer, s qr.Search) (*qr.SearchResult, error)
}

// Receiver retrieves instances; Receiving returns the one of package receive. The methods are safe for concurrent use.
type Receiver interface {
	// Inventory returns what the PACS lists.
	Inventory(ctx context.Context, r receive.Request) (*receive.Inventory, error)
	// Retrieve returns once an instance can be read. The caller must close what it returns.
	Retrieve(ctx context.Context, r receive.Request) (wado.Source, error)
}

// Receiving returns r as a Receiver.
func Receiving(r *receive.Receiver) Receiver { return receiving{r} }

type receiving struct{ *receive.Receiver }

func (r receiving) Retrieve(ctx context.Context, request receive.Request) (wado.Source, error) {
	retrieval, err := r.Receiver.Retrieve(ctx, request)
	if err != nil {
		return nil, err // a nil *receive.Retrieval would be a Source that is not nil
	}
	return retrieval, nil
}

// Associations are the associations of the gateway, which a shutdown ends; *pool.Pool implements it.
type Associations interface {
	// Drain releases the associations that are kept for later operations, in the background, and keeps none from now on.
	Drain()
	// Wait blocks until no association is being released in the background, or until ctx is done.
	Wait(ctx context.Context) error
}

// PACS are the named PACS; *config.PACS implements it. The methods are safe for concurrent use.
type PACS interface {
	// Lookup returns the PACS with the name, as it is configured now.
	Lookup(name string) (qr.Peer, bool)
	// List returns all PACS.
	List() []qr.Peer
}

// BuildInfo identifies the build. Fields that are not known are empty.
type BuildInfo struct{ Version, Commit, Date, GoVersion string }

// String returns the build in one line.
func (b BuildInfo) String() string {
	known := []string{b.Version}
	for _, s := range []string{b.Commit, b.Date, b.GoVersion} {
		if s != "" {
			known = append(known, s)
		}
	}
	return "dicom-qr-gateway " + strings.Join(known, " ")
}

// Options are the parts and the settings of a Server.
type Options struct {
	Gateway      Gateway
	Receiver     Receiver
	Associations Associations
	Contract     []byte // openapi.yaml, served byte for byte
	Logger       zerolog.Logger
	Build        BuildInfo
	Access       access.Options
	TLS          *tls.Config // of the listener; nil: plain HTTP
	PACS         PACS        // the named PACS; nil: none
	Storage      StorageSCP
	// Jobs keeps jobs and works on them; nil: there are none.
	Jobs batch.Service
	// JobsErr returns why the storage for jobs does not answer; nil: it does. It must not block.
	JobsErr func() error
	// Budget returns how the associations of named PACS are limited: shared or reserved; "" and nil: by this gateway alone. It must not
	// block.
	Budget  func() string
	Console *console.Options // of the page for people at /; nil: there is none
	// NamedPACSOnly refuses requests that bring the address of a PACS.
	NamedPACSOnly bool
	// MaxOperations is the number of operations that the Gateway runs at once. Four times as many requests for operations may be in
	// progress, and of one caller as many as it leaves to others; requests beyond are answered with 429 or 503.
	MaxOperations int
	// MaxConnections is how many connections of callers may be open at once, and at most half of the files that the process may open.
	// One address gets three quarters of them, unless it is that of a trusted proxy. Zero: no limit.
	MaxConnections int
	// Memory limits what answers keep; nil: not limited.
	Memory *budget.Budget
	// Spool keeps metadata until it is known to be complete.
	Spool *spool.Spool
	// StallTimeout is how long a caller may take nothing of the instances that are sent to it; zero: half a minute.
	StallTimeout time.Duration
	// DrainTimeout is how long operations may continue during shutdown before they are cancelled.
	DrainTimeout time.Duration
	// Background works beside the requests, on jobs: it begins after the record of the start in the audit trail, and ends before that of
	// the stop. It gets the context of Serve, and returns soon after DrainTimeout at the latest once that is done. nil: there is none.
	Background func(ctx context.Context)
	// Audit is the audit trail; nil: audit is off. Serve closes it.
	Audit *audit.Trail
	// Telemetry measures requests and operations. Its Options.Code should be problem.CodeOf. nil: metrics of HTTP and steps only.
	Telemetry *telemetry.Telemetry
}

// Server answers HTTP requests. As a handler it is safe for concurrent use.
type Server struct {
	associations Associations
	log          zerolog.Logger
	echo         *echo.Echo
	handlers     *handlers
	access       access.Options
	tls          *tls.Config
	allow        map[string]string // Allow of each path
	workload     *workload
	connections  int     // maximum; zero: none
	bodies       *shares // bytes of bodies
	drainTimeout time.Duration
	background   func(ctx context.Context) // may be nil
	trail        *audit.Trail              // nil: audit is off
	limits       limits
	telemetry    *telemetry.Telemetry
	console      *console.Options // nil: / redirects to the documentation
}

// New returns a Server with all routes of the contract.
func New(o Options) (*Server, error) {
	s := &Server{
		associations: o.Associations, log: o.Logger, echo: echo.New(), access: o.Access, tls: o.TLS, drainTimeout: o.DrainTimeout, background: o.Background,
		workload: newWorkload(o.MaxOperations), connections: o.MaxConnections, bodies: newShares(maxBodies), trail: o.Audit, limits: defaultLimits, telemetry: o.Telemetry,
		console: o.Console,
	}
	if s.telemetry == nil {
		var err error
		if s.telemetry, err = telemetry.New(telemetry.Options{
			Version: o.Build.Version, Commit: o.Build.Commit, GoVersion: o.Build.GoVersion, Logger: o.Logger, Code: problem.CodeOf,
		}); err != nil {
			return nil, err
		}
	}
	s.handlers = &handlers{
		jobsErr: o.JobsErr, budget: o.Budget,
		gateway: o.Gateway, receiver: o.Receiver, spool: o.Spool, stall: cmp.Or(o.StallTimeout, writeTimeout), pacs: o.PACS, storage: o.Storage,
		namedOnly: o.NamedPACSOnly, workload: s.workload, memory: o.Memory, build: o.Build,
		telemetry: s.telemetry, trail: o.Audit,
	}
	s.handlers.Handlers = &batch.Handlers{Service: o.Jobs, Permit: s.handlers.permit}
	if o.JobsErr == nil {
		s.handlers.jobsErr = func() error { return nil }
	}
	if o.Budget == nil {
		s.handlers.budget = func() string { return "" }
	}
	if o.PACS == nil {
		s.handlers.pacs = noPACS{}
	}
	s.echo.IPExtractor = o.Access.Proxies.ClientAddress()
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) { s.answer(c, err) }
	s.echo.Logger.SetOutput(httpErrorLog(o.Logger).Writer())
	// Echo has found the handler of the route before it calls any middleware.
	routed := within(s.routed(), func(c echo.Context) error { return c.Handler()(c) })
	s.echo.Use(func(echo.HandlerFunc) echo.HandlerFunc { return routed })
	if err := s.register(o.Contract); err != nil {
		return nil, err
	}
	s.allow = methodsByPath(s.echo.Routes())
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// limits are deadlines for callers that send or read slowly. None of them ends a retrieve that takes an hour.
type limits struct {
	header, body time.Duration // to the end of each, from the first byte of the request
	write        time.Duration // of one answer or event
}

var defaultLimits = limits{header: 10 * time.Second, body: 30 * time.Second, write: writeTimeout}

const (
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
	maxStreams     = 100 // of one HTTP/2 connection, as RFC 9113 section 6.5.2 recommends at least
)

// Serve answers on l until ctx is done. Then it refuses new operations, lets running ones continue for DRAIN_TIMEOUT, cancels the
// rest, and returns when all have ended, or within four seconds; nil if none was cut off. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// Operations outlive ctx, so they have a context of their own.
	operations, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	accepting := s.listen(l)
	// ReadTimeout and WriteTimeout would end a long retrieve. observe sets deadlines for each request instead.
	httpServer := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.limits.header,
		// OPTIONS * is answered like any request without a route.
		DisableGeneralOptionsHandler: true,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		BaseContext:                  func(net.Listener) context.Context { return operations },
		ConnContext:                  withConnection,
		ConnState:                    accepting.Follow,
		ErrorLog:                     httpErrorLog(s.log),
		TLSConfig:                    s.tls,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: 4 * maxBody, MaxReceiveBufferPerStream: maxBody,
		},
	}
	if err := s.trail.Start(); err != nil {
		return errors.Join(err, l.Close())
	}
	beside, endBeside := context.WithCancel(ctx)
	defer endBeside()
	worked := s.work(beside)
	secure := s.tls != nil
	s.log.Info().Str("address", l.Addr().String()).Bool("tls", secure).Msg("listening") // before any request is logged
	failed := make(chan error, 1)
	go func() {
		if secure {
			failed <- httpServer.ServeTLS(accepting, "", "")
			return
		}
		failed <- httpServer.Serve(accepting)
	}()

	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	latest := time.Now().Add(s.drainTimeout + endTimeout + auditTimeout)
	s.drain(cancel, worked)
	err := s.finish(context.WithoutCancel(ctx), httpServer, accepting)
	if stopped := <-failed; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	err = errors.Join(err, ended(worked, latest.Add(-auditTimeout)), s.stopTrail(context.WithoutCancel(ctx), latest, err == nil))
	s.log.Info().Bool("clean", err == nil).Msg("stopped")
	return err
}

// listen returns l with the limits of connections.
func (s *Server) listen(l net.Listener) *listener.Listener {
	limit := listener.Affordable(s.connections)
	if limit < s.connections {
		s.log.Warn().Int("max_connections", limit).
			Msg("MAX_CONNECTIONS is lowered to half of the files that the process may open (ulimit -n, LimitNOFILE)")
	}
	accepting := listener.New(l, listener.Options{Max: limit, Exempt: s.access.Proxies.Trusts})
	s.telemetry.CountConnections(func() telemetry.Connections {
		now := accepting.Stats()
		return telemetry.Connections{Open: now.Open, Yielded: now.Yielded, Refused: now.Refused}
	})
	return accepting
}

// withConnection is the ConnContext of the server.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	if _, secure := c.(*tls.Conn); secure {
		ctx = access.WithConnection(ctx)
	}
	return listener.With(ctx, c)
}

func (s *Server) stopTrail(ctx context.Context, latest time.Time, clean bool) error {
	ctx, cancel := context.WithDeadline(ctx, latest)
	defer cancel()
	return s.trail.Stop(ctx, clean)
}

// Reopen continues the audit log in the file that AUDIT_LOG names, after the current file was renamed.
func (s *Server) Reopen() {
	if s.trail == nil {
		return
	}
	if err := s.trail.Reopen(); err != nil {
		s.log.Error().Err(err).Msg("audit log not reopened")
		return
	}
	s.log.Info().Msg("audit log reopened")
}

// httpErrorLog returns the log for messages of net/http, such as failed handshakes.
func httpErrorLog(logger zerolog.Logger) *log.Logger {
	return log.New(lineWriter(func(line string) { logger.Warn().Str("reason", line).Msg("http") }), "", 0)
}

type lineWriter func(line string)

func (f lineWriter) Write(p []byte) (int, error) {
	f(strings.TrimSpace(string(p)))
	return len(p), nil
}
