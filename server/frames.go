package server

import (
	"context"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/wado"
)

// RetrieveFrames retrieves frames of an instance.
func (h *handlers) RetrieveFrames(ctx context.Context, r api.RetrieveFramesRequestObject) (api.RetrieveFramesResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, func(t *wado.Transfer) error { return wado.SendFrames(ctx, t) })
}

func (h *handlers) retrieveRendered(ctx context.Context, pacs string) (*retrievedAnswer, error) {
	return h.retrieveWith(ctx, pacs, func(t *wado.Transfer) error { return wado.SendRendered(ctx, t) })
}

// RetrieveRenderedFrames renders frames of an instance.
func (h *handlers) RetrieveRenderedFrames(
	ctx context.Context, r api.RetrieveRenderedFramesRequestObject,
) (api.RetrieveRenderedFramesResponseObject, error) {
	return h.retrieveRendered(ctx, r.PACS)
}

// RetrieveStudyRendered renders an instance of a study.
func (h *handlers) RetrieveStudyRendered(
	ctx context.Context, r api.RetrieveStudyRenderedRequestObject,
) (api.RetrieveStudyRenderedResponseObject, error) {
	return h.retrieveRendered(ctx, r.PACS)
}

// RetrieveSeriesRendered renders an instance of a series.
func (h *handlers) RetrieveSeriesRendered(
	ctx context.Context, r api.RetrieveSeriesRenderedRequestObject,
) (api.RetrieveSeriesRenderedResponseObject, error) {
	return h.retrieveRendered(ctx, r.PACS)
}

// RetrieveInstanceRendered renders an instance.
func (h *handlers) RetrieveInstanceRendered(
	ctx context.Context, r api.RetrieveInstanceRenderedRequestObject,
) (api.RetrieveInstanceRenderedResponseObject, error) {
	return h.retrieveRendered(ctx, r.PACS)
}

// RetrieveStudyThumbnail renders a small image of a study.
func (h *handlers) RetrieveStudyThumbnail(
	ctx context.Context, r api.RetrieveStudyThumbnailRequestObject,
) (api.RetrieveStudyThumbnailResponseObject, error) {
	return h.retrieveRendered(ctx, r.PACS)
}

// RetrieveSeriesThumbnail renders a small image of a series.
func (h *handlers) RetrieveSeriesThumbnail(
	ctx context.Context, r api.RetrieveSeriesThumbnailRequestObject,
) (api.RetrieveSeriesThumbnailResponseObject, error) {
	return h.retrieveRendered(ctx, r.PACS)
}

// RetrieveInstanceThumbnail renders a small image of an instance.
func (h *handlers) RetrieveInstanceThumbnail(
	ctx context.Context, r api.RetrieveInstanceThumbnailRequestObject,
) (api.RetrieveInstanceThumbnailResponseObject, error) {
	return h.retrieveRendered(ctx, r.PACS)
}
