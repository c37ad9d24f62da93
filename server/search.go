package server

import (
	"context"
	"net/http"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/recording"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/server/dicomweb"
	"dicom-qr-gateway/server/listener"
	"dicom-qr-gateway/server/problem"
)

// searchLevels are the levels of the searches by operation.
var searchLevels = map[string]qr.Level{
	"searchStudies":           qr.LevelStudy,
	"searchSeriesOfStudy":     qr.LevelSeries,
	"searchSeries":            qr.LevelSeries,
	"searchInstancesOfSeries": qr.LevelImage,
	"searchInstancesOfStudy":  qr.LevelImage,
	"searchInstances":         qr.LevelImage,
}

// searchRequest is what readSearch passes to the handler of a search.
type searchRequest struct {
	parameters *dicomweb.Parameters
	mediaType  string
	baseURL    string // of the PACS
}

type searchKey struct{}

// readSearch returns the middleware that reads the query string of a search at a level. It passes the result on in the context, since
// the strict request objects have no parameters with names of the caller's choice, and removes the query string: values of
// patients reach nothing behind it.
func (s *Server) readSearch(level qr.Level) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			resource := dicomweb.Resource{Level: level}
			for i, name := range c.ParamNames() {
				switch uid := c.ParamValues()[i]; name {
				case "study":
					resource.Study = &uid
				case "series":
					resource.Series = &uid
				}
			}
			parameters, faults := dicomweb.ParseParameters(resource, r.URL.RawQuery)
			r.URL.RawQuery = ""
			if len(faults) > 0 {
				return problem.Invalid(faults)
			}
			mediaType, ok := dicomweb.MediaType(parameters.Accept, r.Header["Accept"])
			if !ok {
				return &problem.Problem{Code: api.ProblemCodeNotAcceptable}
			}
			request := &searchRequest{parameters, mediaType, s.access.BaseURL(r) + "/dicomweb/" + c.Param("pacs")}
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), searchKey{}, request)))
			return next(c)
		}
	}
}

// SearchStudies searches for studies.
func (h *handlers) SearchStudies(ctx context.Context, r api.SearchStudiesRequestObject) (api.SearchStudiesResponseObject, error) {
	return h.search(ctx, r.PACS)
}

// SearchSeriesOfStudy searches for the series of a study.
func (h *handlers) SearchSeriesOfStudy(ctx context.Context, r api.SearchSeriesOfStudyRequestObject) (api.SearchSeriesOfStudyResponseObject, error) {
	return h.search(ctx, r.PACS)
}

// SearchSeries searches for series of all studies.
func (h *handlers) SearchSeries(ctx context.Context, r api.SearchSeriesRequestObject) (api.SearchSeriesResponseObject, error) {
	return h.search(ctx, r.PACS)
}

// SearchInstancesOfSeries searches for the instances of a series.
func (h *handlers) SearchInstancesOfSeries(
	ctx context.Context, r api.SearchInstancesOfSeriesRequestObject,
) (api.SearchInstancesOfSeriesResponseObject, error) {
	return h.search(ctx, r.PACS)
}

// SearchInstancesOfStudy searches for the instances of a study.
func (h *handlers) SearchInstancesOfStudy(
	ctx context.Context, r api.SearchInstancesOfStudyRequestObject,
) (api.SearchInstancesOfStudyResponseObject, error) {
	return h.search(ctx, r.PACS)
}

// SearchInstances searches for instances of all studies.
func (h *handlers) SearchInstances(ctx context.Context, r api.SearchInstancesRequestObject) (api.SearchInstancesResponseObject, error) {
	return h.search(ctx, r.PACS)
}

func (h *handlers) search(ctx context.Context, pacs string) (*searchAnswer, error) {
	request := ctx.Value(searchKey{}).(*searchRequest)
	peer, err := h.namedPeer(ctx, pacs, "")
	if err != nil {
		return nil, inPath(err)
	}
	p := request.parameters
	t, answered := h.task(ctx, peer, ""), false
	defer t.releaseUnless(&answered)
	result := &qr.SearchResult{}
	if !p.Empty {
		if result, err = t.search(ctx, p.Search); err != nil {
			return nil, err
		}
	}
	answer := &searchAnswer{
		release:   t.memory.Close,
		mediaType: request.mediaType, warnings: p.Warnings, objects: dicomweb.NewAnswer(&p.Search, result.Matches, request.baseURL),
	}
	for _, w := range result.Warnings {
		answer.warnings = append(answer.warnings, w.Message)
	}
	if result.More {
		answer.warnings = append(answer.warnings, "There are more matches. Ask for them with offset.")
	}
	answered = true
	return answer, nil
}

// inPath returns the problem of a request that names its PACS in the path.
func inPath(err error) error {
	if p, ok := err.(*problem.Problem); ok && p.Code == api.ProblemCodePACSUnknown { //nolint:errorlint // made here, never wrapped
		p.HTTPStatus = http.StatusNotFound
	}
	return err
}

// search runs a search of DICOMweb.
func (t *task) search(ctx context.Context, s qr.Search) (*qr.SearchResult, error) {
	t.searches = &audit.Queries{}
	result, err := sheltered(ctx, func() (*qr.SearchResult, error) { return t.gateway.Search(ctx, t.call(), t.peer, s) })
	if failed := t.recordSearch(ctx, err); failed != nil {
		return nil, notRecorded(t.log, api.ProblemCodeAuditFailed, failed)
	}
	if err != nil {
		return nil, t.problem(ctx, err)
	}
	return result, nil
}

func (t *task) recordSearch(ctx context.Context, err error) error {
	if code := refused(ctx, err); code != "" {
		return t.trail.Forbidden(&t.record, code)
	}
	if len(t.searches.Sent) == 0 {
		t.searches.Add(t.query)
	}
	return t.trail.Searched(&t.record, t.searches, recording.Result(ctx, err, codes(t.peer.TLS)))
}

// searchAnswer is the 200 of a search.
type searchAnswer struct {
	mediaType  string
	warnings   []string
	objects    *dicomweb.Answer
	connection *listener.Connection // on which the answer is sent; nil: not known
	release    func()               // of the memory of the result; called once it is sent
}

// VisitSearchStudiesResponse writes the answer.
func (a *searchAnswer) VisitSearchStudiesResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitSearchSeriesOfStudyResponse writes the answer.
func (a *searchAnswer) VisitSearchSeriesOfStudyResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitSearchSeriesResponse writes the answer.
func (a *searchAnswer) VisitSearchSeriesResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitSearchInstancesOfSeriesResponse writes the answer.
func (a *searchAnswer) VisitSearchInstancesOfSeriesResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitSearchInstancesOfStudyResponse writes the answer.
func (a *searchAnswer) VisitSearchInstancesOfStudyResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitSearchInstancesResponse writes the answer.
func (a *searchAnswer) VisitSearchInstancesResponse(w http.ResponseWriter) error { return a.write(w) }

var dicomWriters = sync.Pool{New: func() any { return dicomweb.NewJSONWriter(nil) }}

// write writes the answer. A short one has a Content-Length and leaves in one part.
func (a *searchAnswer) write(w http.ResponseWriter) error {
	defer a.release()
	h := w.Header()
	h.Set("Content-Type", a.mediaType)
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Vary", "Accept")
	for _, text := range a.warnings {
		h.Add("Warning", dicomweb.WarningHeader(text))
	}
	out := &startedWriter{ResponseWriter: w}
	objects := dicomWriters.Get().(*dicomweb.JSONWriter)
	objects.Reset(out)
	a.objects.WriteTo(objects)
	if !out.started {
		h.Set("Content-Length", strconv.Itoa(objects.Len()))
		a.connection.Hold(minHeadLength - len(jsonUTF8) + len(a.mediaType) + objects.Len())
		w.WriteHeader(http.StatusOK)
	}
	err := objects.Flush()
	objects.Reset(nil)
	dicomWriters.Put(objects)
	return err
}

// startedWriter notes whether something was written.
type startedWriter struct {
	http.ResponseWriter
	started bool
}

func (w *startedWriter) Write(b []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(b)
}
