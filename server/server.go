// Package server is the gateway's HTTP side: routes, checks, problem documents,
// settings and logs. It is the only package that knows Echo, kin-openapi and the
// generated server; what a query and a retrieve are is none of its business.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/docs"
)

// Gateway is what the server asks of package qr; *qr.Gateway is one. The methods
// are safe for concurrent use and end soon after their context does.
type Gateway interface {
	Query(ctx context.Context, p qr.Peer, f qr.Filter) (*qr.QueryResult, error)
	Retrieve(ctx context.Context, p qr.Peer, f qr.Filter, destination string, progress qr.Progress) (*qr.RetrieveResult, error)
	Echo(ctx context.Context, p qr.Peer) *qr.EchoReport
	// Drain ends what is kept for later operations, behind the scenes; nothing is kept from then on.
	Drain()
	// Wait blocks until what goes on behind the answers is done.
	Wait(ctx context.Context) error
}

// BuildInfo tells which gateway this is; what is unknown is empty.
type BuildInfo struct{ Version, Commit, Date, GoVersion string }

// String is for people.
func (b BuildInfo) String() string {
	known := []string{b.Version}
	for _, s := range []string{b.Commit, b.Date, b.GoVersion} {
		if s != "" {
			known = append(known, s)
		}
	}
	return "dicom-qr-gateway " + strings.Join(known, " ")
}

// Options are what New makes a Server of.
type Options struct {
	Config  Config
	Gateway Gateway
	// Contract is openapi.yaml, served byte for byte.
	Contract []byte
	Logger   zerolog.Logger
	Build    BuildInfo
	// Stdout is where audit records go that AUDIT_LOG wants there, each in one write.
	Stdout io.Writer
	// Telemetry is that of NewTelemetry; nil: metrics of HTTP alone.
	Telemetry *telemetry.Telemetry
}

// Server answers HTTP requests; as a handler it is safe for concurrent use.
type Server struct {
	config    Config
	gateway   Gateway
	log       zerolog.Logger
	echo      *echo.Echo
	allow     map[string]string // the methods of each path
	workload  *workload
	auditor   *auditor // nil: no audit
	limits    limits
	telemetry *telemetry.Telemetry
}

// New builds the routes and the checks of the contract.
func New(o Options) (*Server, error) {
	s := &Server{
		config: o.Config, gateway: o.Gateway, log: o.Logger, echo: echo.New(), workload: newWorkload(o.Config.MaxOperations), limits: defaultLimits,
	}
	if s.telemetry = o.Telemetry; s.telemetry == nil {
		var err error
		if s.telemetry, err = NewTelemetry(Config{}, o.Build, o.Logger); err != nil {
			return nil, err
		}
	}
	s.echo.IPExtractor = o.Config.proxies.clientAddress()
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) { s.answer(c, err) }
	s.echo.Logger.SetOutput(httpErrorLog(o.Logger).Writer())
	s.echo.Use(s.observe, s.cors, s.gate, s.authenticate)
	o.Config.onReload(o.Logger)

	checks, err := s.operationChecks()
	if err != nil {
		return nil, err
	}
	if s.auditor, err = newAuditor(&o.Config, o.Stdout); err != nil {
		return nil, err
	}
	h := &handlers{gateway: s.auditor.around(counted{o.Gateway, s.telemetry}), workload: s.workload, build: o.Build, telemetry: s.telemetry}
	strict := api.NewStrictHandler(h, []api.StrictMiddlewareFunc{answered})
	api.RegisterHandlersWithOptions(withHead{s.echo}, strict, api.RegisterHandlersOptions{OperationMiddlewares: checks})
	// Relative, for proxies that put a path in front.
	withHead{s.echo}.GET("/", func(c echo.Context) error { return c.Redirect(http.StatusFound, "docs") })
	docs.Register(s.echo, o.Contract)
	s.allow = methodsByPath(s.echo.Routes())
	return s, nil
}

// operationChecks go before the handlers of the operations that reach out to a PACS.
func (s *Server) operationChecks() (map[string][]echo.MiddlewareFunc, error) {
	contract, err := api.GetSpec()
	if err != nil {
		return nil, fmt.Errorf("embedded contract: %w", err)
	}
	checks := map[string][]echo.MiddlewareFunc{}
	for operation, path := range map[string]string{"query": "/q", "retrieve": "/qr", "echo": "/echo"} {
		v, err := newValidator(contract, path)
		if err != nil {
			return nil, err
		}
		checks[operation] = []echo.MiddlewareFunc{s.workload.admit, v.check, s.workload.bound, s.admitAudited}
	}
	return checks, nil
}

// withHead registers HEAD beside each GET (RFC 9110 section 9.3.2); net/http
// leaves the body out.
type withHead struct{ *echo.Echo }

func (r withHead) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	r.HEAD(path, h, m...)
	return r.Echo.GET(path, h, m...)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// limits cut off callers that are slow to send or to take. None ends a retrieve
// that takes an hour.
type limits struct {
	header, body time.Duration // to the end of each, from the first byte of the request
	write        time.Duration // of one answer or event
}

var defaultLimits = limits{header: 10 * time.Second, body: 30 * time.Second, write: writeTimeout}

const (
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
)

// Serve answers on l until ctx is done. Then it takes no new work, gives what
// runs the time of DRAIN_TIMEOUT, cancels the rest, and returns nil when all is
// over. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// Operations outlive ctx, so they get a context of their own.
	operations, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	fresh := &freshConnections{}
	// Neither ReadTimeout nor WriteTimeout: both would end a long retrieve.
	// observe sets deadlines for each request.
	httpServer := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.limits.header,
		// OPTIONS * is answered like any other request that has no route.
		DisableGeneralOptionsHandler: true,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		BaseContext:                  func(net.Listener) context.Context { return operations },
		ConnContext:                  withConnection,
		ConnState:                    fresh.follow,
		ErrorLog:                     httpErrorLog(s.log),
		TLSConfig:                    s.config.ServerTLS(),
	}
	if err := s.auditor.activity(ctx, audit.ApplicationStart, audit.Success); err != nil {
		return errors.Join(fmt.Errorf("audit: %w", err), l.Close())
	}
	secure := httpServer.TLSConfig != nil // Serve itself sets the field, for HTTP/2
	failed := make(chan error, 1)
	go func() {
		if secure {
			failed <- httpServer.ServeTLS(l, "", "")
			return
		}
		failed <- httpServer.Serve(listener{l})
	}()
	s.log.Info().Str("address", l.Addr().String()).Bool("tls", secure).Msg("listening")

	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.drain(cancel)
	err := s.finish(context.WithoutCancel(ctx), httpServer, fresh)
	if stopped := <-failed; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	err = errors.Join(err, s.auditor.end(context.WithoutCancel(ctx), err))
	s.log.Info().Bool("clean", err == nil).Msg("stopped")
	return err
}
