package server

import (
	"context"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/wado"
)

// retrievalKinds are the kinds of the retrievals by operation.
var retrievalKinds = map[string]wado.Kind{
	"retrieveStudy": wado.Instances, "retrieveSeries": wado.Instances, "retrieveInstance": wado.Instances,
	"retrieveStudyMetadata": wado.Metadata, "retrieveSeriesMetadata": wado.Metadata, "retrieveInstanceMetadata": wado.Metadata,
	"retrieveFrames": wado.Frames, "retrieveBulkData": wado.BulkData,
	"retrieveStudyRendered": wado.Rendered, "retrieveSeriesRendered": wado.Rendered, "retrieveInstanceRendered": wado.Rendered,
	"retrieveRenderedFrames": wado.Rendered,
	"retrieveStudyThumbnail": wado.Thumbnail, "retrieveSeriesThumbnail": wado.Thumbnail, "retrieveInstanceThumbnail": wado.Thumbnail,
}

type retrievalKey struct{}

// readRetrieval returns the middleware that reads a retrieval of a kind. It passes the result on in the context.
func (s *Server) readRetrieval(kind wado.Kind) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			path := make(map[string]string, len(c.ParamNames()))
			for i, name := range c.ParamNames() {
				value := c.ParamValues()[i]
				if plain, err := url.PathUnescape(value); err == nil {
					value = plain // some clients encode the commas of a list
				}
				path[name] = value
			}
			request, err := wado.Parse(kind, path, r, s.access.BaseURL(r)+"/dicomweb/"+path["pacs"])
			if err != nil {
				return err
			}
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), retrievalKey{}, request)))
			return next(c)
		}
	}
}

// RetrieveStudy retrieves the instances of a study.
func (h *handlers) RetrieveStudy(ctx context.Context, r api.RetrieveStudyRequestObject) (api.RetrieveStudyResponseObject, error) {
	return h.retrieveInstances(ctx, r.PACS)
}

// RetrieveSeries retrieves the instances of a series.
func (h *handlers) RetrieveSeries(ctx context.Context, r api.RetrieveSeriesRequestObject) (api.RetrieveSeriesResponseObject, error) {
	return h.retrieveInstances(ctx, r.PACS)
}

// RetrieveInstance retrieves an instance.
func (h *handlers) RetrieveInstance(ctx context.Context, r api.RetrieveInstanceRequestObject) (api.RetrieveInstanceResponseObject, error) {
	return h.retrieveInstances(ctx, r.PACS)
}

// RetrieveStudyMetadata retrieves the metadata of a study.
func (h *handlers) RetrieveStudyMetadata(
	ctx context.Context, r api.RetrieveStudyMetadataRequestObject,
) (api.RetrieveStudyMetadataResponseObject, error) {
	return h.retrieveMetadata(ctx, r.PACS)
}

// RetrieveSeriesMetadata retrieves the metadata of a series.
func (h *handlers) RetrieveSeriesMetadata(
	ctx context.Context, r api.RetrieveSeriesMetadataRequestObject,
) (api.RetrieveSeriesMetadataResponseObject, error) {
	return h.retrieveMetadata(ctx, r.PACS)
}

// RetrieveInstanceMetadata retrieves the metadata of an instance.
func (h *handlers) RetrieveInstanceMetadata(
	ctx context.Context, r api.RetrieveInstanceMetadataRequestObject,
) (api.RetrieveInstanceMetadataResponseObject, error) {
	return h.retrieveMetadata(ctx, r.PACS)
}

// RetrieveBulkData retrieves a value of an instance.
func (h *handlers) RetrieveBulkData(ctx context.Context, r api.RetrieveBulkDataRequestObject) (api.RetrieveBulkDataResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, wado.SendBulkData)
}

func (h *handlers) retrieveMetadata(ctx context.Context, pacs string) (*retrievedAnswer, error) {
	return h.retrieveWith(ctx, pacs, func(t *wado.Transfer) error { return wado.SendMetadata(ctx, t) })
}

// retrieveInstances answers with whole instances, as the request asks for them.
func (h *handlers) retrieveInstances(ctx context.Context, pacs string) (*retrievedAnswer, error) {
	return h.retrieveWith(ctx, pacs, func(t *wado.Transfer) error {
		switch t.Offer {
		case wado.OfferZip:
			return wado.SendArchive(t)
		case wado.OfferDICOM:
			return wado.SendSingle(t)
		}
		return wado.SendMultipart(t)
	})
}

// retrieveWith answers a retrieval with what send writes. Nothing is asked of the PACS until the answer is written.
func (h *handlers) retrieveWith(ctx context.Context, pacs string, send func(*wado.Transfer) error) (*retrievedAnswer, error) {
	request := ctx.Value(retrievalKey{}).(*wado.Request)
	peer, err := h.namedPeer(ctx, pacs, "")
	if err != nil {
		return nil, inPath(err)
	}
	return &retrievedAnswer{ctx: ctx, request: request, task: h.task(ctx, peer, ""), receiver: h.receiver, spool: h.spool, stall: h.stall, send: send}, nil
}

// VisitRetrieveStudyResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveStudyResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitRetrieveSeriesResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveSeriesResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveInstanceResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveInstanceResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveStudyMetadataResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveStudyMetadataResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveSeriesMetadataResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveSeriesMetadataResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveInstanceMetadataResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveInstanceMetadataResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveFramesResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveFramesResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitRetrieveBulkDataResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveBulkDataResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveStudyRenderedResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveStudyRenderedResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveSeriesRenderedResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveSeriesRenderedResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveInstanceRenderedResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveInstanceRenderedResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveRenderedFramesResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveRenderedFramesResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveStudyThumbnailResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveStudyThumbnailResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveSeriesThumbnailResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveSeriesThumbnailResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitRetrieveInstanceThumbnailResponse writes the answer.
func (a *retrievedAnswer) VisitRetrieveInstanceThumbnailResponse(w http.ResponseWriter) error {
	return a.write(w)
}
