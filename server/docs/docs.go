// Package docs serves the documentation pages: Swagger UI at /docs, Redoc at /redoc, the contract as YAML and JSON, and
// the files that the pages load. Everything is embedded; the pages request nothing from another host.
package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
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

// A request with the digest in the query always gets the same content, so the answer never expires. Any other request is
// revalidated each time, usually with a 304.
const (
	cacheForever    = "public, max-age=31536000, immutable"
	cacheRevalidate = "no-cache"
)

// Register adds the routes of the documentation to e: /docs (Swagger UI), /redoc, the files that both pages load,
// /openapi.yaml with contract byte for byte, and /openapi.json with the same document in the same order.
//
// The pages use relative URLs only, so they work behind a proxy that adds a path prefix. They offer to enter an API key if
// apiKeys is set; the contract permits calls with and without.
func Register(e *echo.Echo, contract []byte, apiKeys bool) {
	files := map[string]*file{}
	for _, dir := range []string{"docs", "redoc"} {
		for name, f := range embeddedFiles(dir) {
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

	serve(e, "/openapi.yaml", newFile("application/yaml", func() ([]byte, error) { return contract, nil }))
	serve(e, "/openapi.json", newFile("application/json; charset=utf-8", func() ([]byte, error) { return contractJSON, nil }))
}

// redirectSlash redirects route/ to route. Relative URLs would not resolve under route/.
func redirectSlash(e *echo.Echo, route string) {
	e.Match([]string{http.MethodGet, http.MethodHead}, route+"/", func(c echo.Context) error {
		return c.Redirect(http.StatusMovedPermanently, ".."+route)
	})
}

func serve(e *echo.Echo, route string, f *file) {
	e.Match([]string{http.MethodGet, http.MethodHead}, route, f.handle)
}

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

func newPage(files map[string]*file, p page) *file {
	for _, l := range []link{
		{Href: "docs", Text: "Swagger UI"},
		{Href: "redoc", Text: "Redoc"},
		{Href: "openapi.yaml", Text: "YAML"},
		{Href: "openapi.json", Text: "JSON"},
	} {
		l.Current = l.Text == p.Title
		p.Links = append(p.Links, l)
	}
	f := newFile("text/html; charset=utf-8", func() ([]byte, error) { return render(files, p) })
	f.policy = p.Policy
	return f
}

func render(files map[string]*file, p page) ([]byte, error) {
	asset := func(name string) (string, error) {
		f, ok := files[name]
		if !ok {
			return "", fmt.Errorf("no embedded file %s", name)
		}
		c, err := f.load()
		return name + "?v=" + c.version(), err
	}
	t, err := template.New("page.html").Funcs(template.FuncMap{"asset": asset}).ParseFS(staticFiles, "static/page.html")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, p)
	return b.Bytes(), err
}

// file is an answer that does not change while the process runs. Its content is loaded on the first request: most gateways
// never get one, and content that was not read takes no memory.
type file struct {
	contentType string
	policy      string // Content-Security-Policy, for pages only
	gzipped     bool   // the content is stored as gzip, because the file is large
	load        func() (content, error)
}

type content struct {
	bytes  []byte
	digest string
}

func (c content) version() string { return c.digest[:8] }

func newFile(contentType string, read func() ([]byte, error)) *file {
	return &file{contentType: contentType, load: sync.OnceValues(func() (content, error) {
		b, err := read()
		sum := sha256.Sum256(b)
		return content{b, base64.RawURLEncoding.EncodeToString(sum[:15])}, err
	})}
}

// embeddedFiles returns the files in static/dir by the name under which they are served.
func embeddedFiles(dir string) map[string]*file {
	entries, err := staticFiles.ReadDir("static/" + dir)
	if err != nil {
		panic(fmt.Sprintf("docs: embedded files: %v", err))
	}
	files := make(map[string]*file, len(entries))
	for _, entry := range entries {
		name, gzipped := strings.CutSuffix(entry.Name(), ".gz")
		f := newFile(contentTypes[path.Ext(name)], func() ([]byte, error) {
			return staticFiles.ReadFile("static/" + dir + "/" + entry.Name())
		})
		f.gzipped = gzipped
		files[name] = f
	}
	return files
}

// contentTypes maps extensions to media types. The table of package mime depends on the machine.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
}

func (f *file) handle(c echo.Context) error {
	loaded, err := f.load()
	if err != nil {
		return fmt.Errorf("documentation: %w", err)
	}
	body, etag := loaded.bytes, `"`+loaded.digest+`"`
	h := c.Response().Header()
	if f.gzipped {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(c.Request().Header.Values("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			etag = `"` + loaded.digest + `-gzip"`
		} else if body, err = gunzip(body); err != nil {
			return fmt.Errorf("documentation: %w", err)
		}
	}
	h.Set("Content-Type", f.contentType)
	h.Set("ETag", etag)
	h.Set("Cache-Control", cacheRevalidate)
	if c.QueryParam("v") == loaded.version() {
		h.Set("Cache-Control", cacheForever)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if f.policy != "" {
		h.Set("Content-Security-Policy", f.policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(body))
	return nil
}

func gunzip(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// acceptsGzip reports whether Accept-Encoding (RFC 9110 section 12.5.3) accepts gzip. Without the field it does not, so that
// simple tools get plain content.
func acceptsGzip(fields []string) bool {
	accepted := false
	for choice := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		coding, parameters, _ := strings.Cut(choice, ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding != "gzip" && coding != "x-gzip" && coding != "*" {
			continue
		}
		accepted = true
		if q, ok := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q="); ok {
			weight, err := strconv.ParseFloat(q, 64)
			accepted = err == nil && weight > 0
		}
		if coding != "*" {
			return accepted
		}
	}
	return accepted
}
