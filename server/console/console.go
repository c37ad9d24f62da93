// Package console serves the page for people at /: it searches PACS, shows studies and pictures, downloads and moves them, and
// files and follows batches.
// Everything is embedded; the page requests nothing from another host, and calls public routes of the gateway only.
package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/server/asset"
)

//go:embed static/page.html static/assets
var staticFiles embed.FS

// policy is the Content-Security-Policy of the page. Pictures are data: URLs, because a request for a picture can need an API key.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Options say what the page offers.
type Options struct {
	// Viewer is the URL that opens a study in a viewer, with {pacs} and {study} in place of the name of the PACS and the Study
	// Instance UID; empty: the page has no link to a viewer.
	Viewer string
}

// Register adds the files of the page to e, and returns the handler of the page. The page uses relative URLs only, so it works
// behind a proxy that adds a path prefix.
func Register(e *echo.Echo, o Options) echo.HandlerFunc {
	files := asset.Embedded(staticFiles, "static/assets")
	for name, f := range files {
		f.Register(e, "/console/assets/"+name)
	}
	page := asset.New("text/html; charset=utf-8", func() ([]byte, error) { return render(files, o) })
	page.Policy = policy
	return page.Handle
}

func render(files map[string]*asset.File, o Options) ([]byte, error) {
	versioned := func(name string) (string, error) {
		f, ok := files[name]
		if !ok {
			return "", fmt.Errorf("no embedded file %s", name)
		}
		version, err := f.Version()
		return "console/assets/" + name + "?v=" + version, err
	}
	t, err := template.New("page.html").Funcs(template.FuncMap{"asset": versioned}).ParseFS(staticFiles, "static/page.html")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, o)
	return b.Bytes(), err
}

// WantsPage reports whether a client asks for HTML by name (RFC 9110 section 12.5.1), as browsers do. A client that accepts
// everything, such as curl, does not.
func WantsPage(r *http.Request) bool {
	for choice := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		mediaType, parameters, _ := strings.Cut(choice, ";")
		if !strings.EqualFold(strings.TrimSpace(mediaType), "text/html") {
			continue
		}
		weight, weighted := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q=")
		return !weighted || strings.Trim(weight, "0.") != ""
	}
	return false
}
