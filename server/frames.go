package server

import (
	"context"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/wado"
)

// RetrieveFrames retrieves frames of an instance.
func (h *handlers) RetrieveFrames(ctx context.Context, r api.RetrieveFramesRequestObject) (api.RetrieveFramesResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, wado.SendFrames)
}

// RetrieveRenderedFrames renders frames of an instance.
func (h *handlers) RetrieveRenderedFrames(
	ctx context.Context, r api.RetrieveRenderedFramesRequestObject,
) (api.RetrieveRenderedFramesResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, wado.SendRendered)
}

// RetrieveStudyRendered renders an instance of a study.
func (h *handlers) RetrieveStudyRendered(
	ctx context.Context, r api.RetrieveStudyRenderedRequestObject,
) (api.RetrieveStudyRenderedResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, wado.SendRendered)
}

// RetrieveSeriesRendered renders an instance of a series.
func (h *handlers) RetrieveSeriesRendered(
	ctx context.Context, r api.RetrieveSeriesRenderedRequestObject,
) (api.RetrieveSeriesRenderedResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, wado.SendRendered)
}

// RetrieveInstanceRendered renders an instance.
func (h *handlers) RetrieveInstanceRendered(
	ctx context.Context, r api.RetrieveInstanceRenderedRequestObject,
) (api.RetrieveInstanceRenderedResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, wado.SendRendered)
}

// RetrieveStudyThumbnail renders a small image of a study.
func (h *handlers) RetrieveStudyThumbnail(
	ctx context.Context, r api.RetrieveStudyThumbnailRequestObject,
) (api.RetrieveStudyThumbnailResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, wado.SendRendered)
}

// RetrieveSeriesThumbnail renders a small image of a series.
func (h *handlers) RetrieveSeriesThumbnail(
	ctx context.Context, r api.RetrieveSeriesThumbnailRequestObject,
) (api.RetrieveSeriesThumbnailResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, wado.SendRendered)
}

// RetrieveInstanceThumbnail renders a small image of an instance.
func (h *handlers) RetrieveInstanceThumbnail(
	ctx context.Context, r api.RetrieveInstanceThumbnailRequestObject,
) (api.RetrieveInstanceThumbnailResponseObject, error) {
	return h.retrieveWith(ctx, r.PACS, wado.SendRendered)
}
