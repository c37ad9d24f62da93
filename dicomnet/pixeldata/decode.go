package pixeldata

import "dicom-qr-gateway/dicomnet/dataset"

// Decodes reports whether Decode decodes frames of a transfer syntax.
func Decodes(ts dataset.TransferSyntax) bool {
	return ts == dataset.RLELossless || ts == dataset.JPEGBaseline
}

// Decode decodes a frame of a transfer syntax that Decodes accepts to the native form of Explicit VR Little Endian. It returns the layout of the result. It
// appends nothing to dst but uses its memory.
func Decode(dst, frame []byte, ts dataset.TransferSyntax, l Layout) ([]byte, Layout, error) {
	var err error
	switch ts {
	case dataset.RLELossless:
		dst, err = DecodeRLE(dst, frame, l)
	case dataset.JPEGBaseline:
		dst, l.Photometric, err = DecodeJPEG(dst, frame, l)
		l.BitsAllocated, l.BitsStored, l.HighBit, l.Signed, l.PlanarConfiguration = 8, 8, 7, false, 0
	default:
		return nil, l, &FormatError{Reason: "the transfer syntax is not one that is decoded here"}
	}
	return dst, l, err
}
