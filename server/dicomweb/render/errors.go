package render

// UnsupportedError reports an instance that is no image, or one of a kind that this package does not render.
type UnsupportedError struct{ Reason string }

func (e *UnsupportedError) Error() string { return "cannot be rendered: " + e.Reason }

// CompressedError reports an image in a transfer syntax that is not decoded here.
type CompressedError struct{}

func (*CompressedError) Error() string {
	return "image is compressed in a transfer syntax that is not decoded here"
}

// RegionError reports a viewport whose region is not inside the image.
type RegionError struct{}

func (*RegionError) Error() string { return "region of the viewport is not inside the image" }

// BusyError reports that other images did not leave enough memory in time.
type BusyError struct{}

func (*BusyError) Error() string { return "other images are being rendered" }
