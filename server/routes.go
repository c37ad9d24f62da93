package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/console"
	"dicom-qr-gateway/server/docs"
	"dicom-qr-gateway/server/schema"
)

// register adds all routes: the operations of the contract, the documentation, and the root.
func (s *Server) register(contract []byte) error {
	checks, err := s.operationChecks()
	if err != nil {
		return err
	}
	strict := api.NewStrictHandler(s.handlers, s.strict())
	api.RegisterHandlersWithOptions(routes{s.echo}, strict, api.RegisterHandlersOptions{OperationMiddlewares: checks})
	routes{s.echo}.GET("/", s.root())
	docs.Register(s.echo, contract, s.access.Keys != nil)
	return nil
}

// root returns the handler of /: the console for clients that ask for HTML, unless it is off, else a redirect to the documentation.
// The redirect is relative, for proxies that add a path prefix.
func (s *Server) root() echo.HandlerFunc {
	redirect := func(c echo.Context) error { return c.Redirect(http.StatusFound, "docs") }
	if s.console == nil {
		return redirect
	}
	page := console.Register(s.echo, *s.console)
	return func(c echo.Context) error {
		c.Response().Header().Set("Vary", "Accept")
		if console.WantsPage(c.Request()) {
			return page(c)
		}
		return redirect(c)
	}
}

// bodySchemas are the schemas of the bodies of requests.
type bodySchemas struct {
	bodies map[string]*schema.Body // by operation
	order  *schema.Order
}

// embeddedSchemas returns the schemas in package api. All servers of the process share them, because reading them takes longer than most
// tests of a server. Nothing else is kept, because each garbage collection has to look at what is kept.
var embeddedSchemas = sync.OnceValues(func() (s bodySchemas, err error) {
	contract, err := api.GetSpec()
	if err != nil {
		return s, fmt.Errorf("embedded schemas: %w", err)
	}
	s.bodies = map[string]*schema.Body{}
	for operation, path := range map[string]string{"query": "/q", "retrieve": "/qr", "echo": "/echo"} {
		if s.bodies[operation], err = schema.New(contract, path); err != nil {
			return s, err
		}
	}
	s.order, err = schema.NewOrder(contract)
	return s, err
})

// operationChecks returns the middleware of the operations that connect to a PACS, and of those below /jobs.
func (s *Server) operationChecks() (map[string][]echo.MiddlewareFunc, error) {
	schemas, err := embeddedSchemas()
	if err != nil {
		return nil, err
	}
	checks := map[string][]echo.MiddlewareFunc{}
	for operation, body := range schemas.bodies {
		checks[operation] = s.checks(newValidator(body, s.bodies))
	}
	s.jobChecks(schemas.order, checks)
	for operation, level := range searchLevels {
		checks[operation] = s.searchChecks(level)
	}
	for operation, kind := range retrievalKinds {
		checks[operation] = s.retrievalChecks(kind)
	}
	return checks, nil
}

// routes registers HEAD with each GET (RFC 9110 section 9.3.2); net/http leaves the body out. For GET and POST, it puts the middleware
// around a handler once, where Echo would do so for each request.
type routes struct{ *echo.Echo }

func (r routes) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	h = within(m, h)
	r.HEAD(path, h)
	return r.Echo.GET(path, h)
}

func (r routes) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return r.Echo.POST(path, within(m, h))
}

// within returns h with the layers around it, which are ordered outermost first.
func within(layers []echo.MiddlewareFunc, h echo.HandlerFunc) echo.HandlerFunc {
	for _, layer := range slices.Backward(layers) {
		h = layer(h)
	}
	return h
}

// methodsByPath returns the Allow header of each registered route.
func methodsByPath(routes []*echo.Route) map[string]string {
	methods := map[string][]string{}
	for _, route := range routes {
		methods[route.Path] = append(methods[route.Path], route.Method)
	}
	allow := make(map[string]string, len(methods))
	for path, names := range methods {
		slices.Sort(names)
		allow[path] = strings.Join(slices.Compact(names), ", ")
	}
	return allow
}
