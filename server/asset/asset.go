// Package asset serves embedded files and pages: with their digest as ETag, compressed where they are stored so, and with the
// header fields that keep browsers from guessing.
package asset

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// A request with the digest in the query always gets the same content, so the answer never expires. Any other request is
// revalidated each time, usually with a 304.
const (
	cacheForever    = "public, max-age=31536000, immutable"
	cacheRevalidate = "no-cache"
)

// File is an answer that does not change while the process runs. Its content is loaded on the first request: most gateways
// never get one, and content that was not read takes no memory.
type File struct {
	Policy      string // Content-Security-Policy, for pages only
	contentType string
	gzipped     bool // the content is gzip, for large files
	load        func() (content, error)
}

type content struct {
	bytes  []byte
	digest string
}

func (c content) version() string { return c.digest[:8] }

// New returns the file of what read returns, with its media type.
func New(contentType string, read func() ([]byte, error)) *File {
	return &File{contentType: contentType, load: sync.OnceValues(func() (content, error) {
		b, err := read()
		sum := sha256.Sum256(b)
		return content{b, base64.RawURLEncoding.EncodeToString(sum[:15])}, err
	})}
}

// Embedded returns the files in a directory of fsys and below it, by the path from there under which they are served. A name that
// ends in .gz is that of a file that is stored as gzip and served without this ending. Scripts and styles that are not are
// compressed when they are read.
func Embedded(fsys embed.FS, directory string) map[string]*File {
	files := map[string]*File{}
	err := fs.WalkDir(fsys, directory, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, gzipped := strings.CutSuffix(strings.TrimPrefix(file, directory+"/"), ".gz")
		f := New(contentTypes[path.Ext(name)], func() ([]byte, error) { return fsys.ReadFile(file) })
		f.gzipped = gzipped
		if mediaType := f.contentType; !gzipped && (strings.HasPrefix(mediaType, "text/javascript") || strings.HasPrefix(mediaType, "text/css")) {
			f.compress()
		}
		files[name] = f
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("embedded files: %v", err))
	}
	return files
}

// compress replaces the content of f by its compressed form, which is made when it is first loaded.
func (f *File) compress() {
	plain := f.load
	packed := New(f.contentType, func() ([]byte, error) {
		c, err := plain()
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(c.bytes) // to memory
		_ = w.Close()
		return b.Bytes(), nil
	})
	f.load, f.gzipped = packed.load, true
}

// contentTypes maps extensions to media types. The table of package mime depends on the machine.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
}

// Version returns the digest of the content for the query parameter v, by which caches keep a version for ever.
func (f *File) Version() (string, error) {
	c, err := f.load()
	if err != nil {
		return "", err
	}
	return c.version(), nil
}

// ContentType returns the media type of f, empty for a file whose extension is unknown.
func (f *File) ContentType() string { return f.contentType }

// Register adds the route of f, for GET and HEAD.
func (f *File) Register(e *echo.Echo, route string) {
	e.Match([]string{http.MethodGet, http.MethodHead}, route, f.Handle)
}

// Handle answers with the file.
func (f *File) Handle(c echo.Context) error {
	loaded, err := f.load()
	if err != nil {
		return fmt.Errorf("embedded file: %w", err)
	}
	body, etag := loaded.bytes, `"`+loaded.digest+`"`
	h := c.Response().Header()
	if f.gzipped {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(c.Request().Header.Values("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			etag = `"` + loaded.digest + `-gzip"`
		} else if body, err = gunzip(body); err != nil {
			return fmt.Errorf("embedded file: %w", err)
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
	if f.Policy != "" {
		h.Set("Content-Security-Policy", f.Policy)
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
