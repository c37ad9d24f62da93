package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

//go:embed static/page.html static/docs static/redoc
var staticFiles embed.FS

// The first digest is that of an empty string: both pages' libraries add empty
// style elements and fill them through the object model, which needs no more
// than that. The second is that of the one style that Redoc adds as text. They
// save 'unsafe-inline', and with it whatever an injected style could do; the
// browser tests tell when a new version of the libraries needs another.
const (
	docsPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
	redocPolicy = docsPolicy + " 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; " +
		"worker-src blob:" // the search index is built in a worker that comes as a blob
)

// Whoever asks with the digest in the query gets this very content for good;
// anyone else asks again each time, with a 304 for an answer.
const (
	cacheForever = "public, max-age=31536000, immutable"
	cacheAsk     = "no-cache"
)

// registerDocs adds the documents: /docs (Swagger UI), /redoc, the files that
// both pages load, and the contract as /openapi.yaml, byte for byte as given,
// and /openapi.json, the same document in the same order. It panics where spec
// is no YAML, which is a fault of the build.
//
// The pages name every file relative to themselves, so they work behind a proxy
// that adds a path in front.
func registerDocs(e *echo.Echo, spec []byte) {
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
		Scripts: []string{"docs/assets/swagger-ui-bundle.js", "docs/assets/docs.js"},
		Policy:  docsPolicy,
	}))
	serve(e, "/redoc", newPage(files, page{
		Title:   "Redoc",
		Styles:  []string{"docs/assets/page.css", "redoc/assets/redoc.css"},
		Scripts: []string{"redoc/assets/redoc.standalone.js", "redoc/assets/redoc.js"},
		Policy:  redocPolicy,
	}))

	slashless(e, "/docs")
	slashless(e, "/redoc")

	asJSON, err := yamlToJSON(spec)
	if err != nil {
		panic(fmt.Sprintf("server: the contract: %v", err))
	}
	serve(e, "/openapi.yaml", newFile("application/yaml", spec))
	serve(e, "/openapi.json", newFile("application/json", asJSON))
}

// slashless turns /docs/ into /docs: in a folder the relative names would lead astray.
func slashless(e *echo.Echo, route string) {
	e.Match([]string{http.MethodGet, http.MethodHead}, route+"/", func(c echo.Context) error {
		return c.Redirect(http.StatusMovedPermanently, ".."+route)
	})
}

func serve(e *echo.Echo, route string, f *file) {
	e.Match([]string{http.MethodGet, http.MethodHead}, route, f.handle)
}

// page is what the template of both pages is filled with.
type page struct {
	Title           string
	Styles, Scripts []string
	Policy          string
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
	asset := func(name string) (string, error) {
		f, ok := files[name]
		if !ok {
			return "", fmt.Errorf("no embedded file %s", name)
		}
		return name + "?v=" + f.version(), nil
	}
	t := template.Must(template.New("page.html").Funcs(template.FuncMap{"asset": asset}).ParseFS(staticFiles, "static/page.html"))
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		panic(fmt.Sprintf("server: page %s: %v", p.Title, err))
	}
	f := newFile("text/html; charset=utf-8", b.Bytes())
	f.policy = p.Policy
	return f
}

// file is one answer that never changes while the process lives.
type file struct {
	contentType string
	policy      string // Content-Security-Policy, of pages only
	digest      string
	plain       []byte // nil where only packed is held
	packed      []byte // gzip; nil where the file is small or seldom asked for
}

func newFile(contentType string, content []byte) *file {
	return &file{contentType: contentType, plain: content, digest: digest(content)}
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}

// embeddedFiles are the files of static/dir by the name they are asked for under.
func embeddedFiles(dir string) map[string]*file {
	entries, err := fs.ReadDir(staticFiles, "static/"+dir)
	if err != nil {
		panic(fmt.Sprintf("server: embedded files: %v", err))
	}
	files := make(map[string]*file, len(entries))
	for _, entry := range entries {
		content, err := fs.ReadFile(staticFiles, "static/"+dir+"/"+entry.Name())
		if err != nil {
			panic(fmt.Sprintf("server: embedded files: %v", err))
		}
		name, isPacked := strings.CutSuffix(entry.Name(), ".gz")
		f := newFile(contentTypes[path.Ext(name)], content)
		if isPacked {
			f.plain, f.packed = nil, content
		}
		files[name] = f
	}
	return files
}

// A table of our own: that of the mime package depends on the machine.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
}

func (f *file) version() string { return f.digest[:8] }

func (f *file) handle(c echo.Context) error {
	content, etag := f.plain, `"`+f.digest+`"`
	h := c.Response().Header()
	if f.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(c.Request().Header.Values("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			content, etag = f.packed, `"`+f.digest+`-gzip"`
		} else {
			var err error
			if content, err = unpack(f.packed); err != nil {
				return fmt.Errorf("embedded file: %w", err)
			}
		}
	}
	h.Set("Content-Type", f.contentType)
	h.Set("ETag", etag)
	h.Set("Cache-Control", cacheAsk)
	if c.QueryParam("v") == f.version() {
		h.Set("Cache-Control", cacheForever)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if f.policy != "" {
		h.Set("Content-Security-Policy", f.policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(content))
	return nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// acceptsGzip reads Accept-Encoding (RFC 9110 section 12.5.3) as far as it
// concerns gzip; without the field nothing is packed, for the sake of plain tools.
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
