// Package docs serves the documentation pages: Swagger UI at /docs, Redoc at /redoc, the contract as YAML and JSON, and
// the files that the pages load. Everything is embedded; the pages request nothing from another host.
package docs

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/server/asset"
)

//go:embed static/page.html static/docs static/redoc
var staticFiles embed.FS

//go:embed openapi.json
var contractJSON []byte // openapi.yaml as JSON, written by make generate

// Content-Security-Policy of the pages. The digests replace 'unsafe-inline', which would allow injected styles. The first
// digest is that of an empty string: the libraries of both pages add empty style elements and fill them through the object
// model. The second is that of the one style that Redoc adds as text. The browser tests fail when a new version of the
// libraries needs another digest.
const (
	docsPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
	redocPolicy = docsPolicy + " 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; " +
		"worker-src blob:" // the search index is built in a worker loaded from a blob
)

// Register adds the routes of the documentation to e: /docs (Swagger UI), /redoc, the files that both pages load,
// /openapi.yaml with contract byte for byte, and /openapi.json with the same document in the same order.
//
// The pages use relative URLs only, so they work behind a proxy that adds a path prefix. They offer to enter an API key if
// apiKeys is set; the contract permits calls with and without.
func Register(e *echo.Echo, contract []byte, apiKeys bool) {
	files := map[string]*asset.File{}
	for _, dir := range []string{"docs", "redoc"} {
		for name, f := range asset.Embedded(staticFiles, "static/"+dir) {
			files[dir+"/assets/"+name] = f
		}
	}
	for name, f := range files {
		serve(e, "/"+name, f)
	}

	serve(e, "/docs", newPage(files, page{
		Title:   "Swagger UI",
		Styles:  []string{"docs/assets/swagger-ui.css", "docs/assets/page.css", "docs/assets/docs.css"},
		Scripts: []string{"docs/assets/swagger-ui-bundle.js", "docs/assets/page.js", "docs/assets/events.js", "docs/assets/docs.js"},
		APIKeys: apiKeys,
		Policy:  docsPolicy,
	}))
	serve(e, "/redoc", newPage(files, page{
		Title:   "Redoc",
		Styles:  []string{"docs/assets/page.css", "redoc/assets/redoc.css"},
		Scripts: []string{"redoc/assets/redoc.standalone.js", "docs/assets/page.js", "redoc/assets/redoc.js"},
		APIKeys: apiKeys,
		Policy:  redocPolicy,
	}))

	redirectSlash(e, "/docs")
	redirectSlash(e, "/redoc")

	serve(e, "/openapi.yaml", asset.New("application/yaml", func() ([]byte, error) { return contract, nil }))
	serve(e, "/openapi.json", asset.New("application/json; charset=utf-8", func() ([]byte, error) { return contractJSON, nil }))
}

// redirectSlash redirects route/ to route. Relative URLs would not resolve under route/.
func redirectSlash(e *echo.Echo, route string) {
	e.Match([]string{http.MethodGet, http.MethodHead}, route+"/", func(c echo.Context) error {
		return c.Redirect(http.StatusMovedPermanently, ".."+route)
	})
}

func serve(e *echo.Echo, route string, f *asset.File) { f.Register(e, route) }

// page holds the values of the template that both pages use.
type page struct {
	Title           string
	Styles, Scripts []string
	Policy          string
	APIKeys         bool // the gateway requires API keys
	Links           []link
}

type link struct {
	Href, Text string
	Current    bool
}

func newPage(files map[string]*asset.File, p page) *asset.File {
	for _, l := range []link{
		{Href: "docs", Text: "Swagger UI"},
		{Href: "redoc", Text: "Redoc"},
		{Href: "openapi.yaml", Text: "YAML"},
		{Href: "openapi.json", Text: "JSON"},
	} {
		l.Current = l.Text == p.Title
		p.Links = append(p.Links, l)
	}
	f := asset.New("text/html; charset=utf-8", func() ([]byte, error) { return render(files, p) })
	f.Policy = p.Policy
	return f
}

func render(files map[string]*asset.File, p page) ([]byte, error) {
	versioned := func(name string) (string, error) {
		f, ok := files[name]
		if !ok {
			return "", fmt.Errorf("no embedded file %s", name)
		}
		version, err := f.Version()
		return name + "?v=" + version, err
	}
	t, err := template.New("page.html").Funcs(template.FuncMap{"asset": versioned}).ParseFS(staticFiles, "static/page.html")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, p)
	return b.Bytes(), err
}
