package wado

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/dicomweb/render"
)

// mediaTypes are those of the frames of each transfer syntax, the default syntax of each media type first (PS3.18 tables 8.7.3-4 and
// 8.7.3-5). Native frames of all others are octetStream.
var mediaTypes = []struct {
	syntax dataset.TransferSyntax
	name   string
}{
	{"1.2.840.10008.1.2.4.70", "image/jpeg"},
	{"1.2.840.10008.1.2.4.50", "image/jpeg"},
	{"1.2.840.10008.1.2.4.51", "image/jpeg"},
	{"1.2.840.10008.1.2.4.57", "image/jpeg"},
	{"1.2.840.10008.1.2.4.80", "image/jls"},
	{"1.2.840.10008.1.2.4.81", "image/jls"},
	{"1.2.840.10008.1.2.4.90", "image/jp2"},
	{"1.2.840.10008.1.2.4.91", "image/jp2"},
	{"1.2.840.10008.1.2.4.92", "image/jpx"},
	{"1.2.840.10008.1.2.4.93", "image/jpx"},
	{"1.2.840.10008.1.2.4.201", "image/jphc"},
	{"1.2.840.10008.1.2.4.202", "image/jphc"},
	{"1.2.840.10008.1.2.4.203", "image/jphc"},
	{"1.2.840.10008.1.2.4.110", "image/jxl"},
	{"1.2.840.10008.1.2.4.111", "image/jxl"},
	{"1.2.840.10008.1.2.4.112", "image/jxl"},
	{dataset.RLELossless, "image/dicom-rle"},
	{"1.2.840.10008.1.2.4.100", "video/mpeg"},
	{"1.2.840.10008.1.2.4.100.1", "video/mpeg"},
	{"1.2.840.10008.1.2.4.101", "video/mpeg"},
	{"1.2.840.10008.1.2.4.101.1", "video/mpeg"},
	{"1.2.840.10008.1.2.4.102", "video/mp4"},
	{"1.2.840.10008.1.2.4.102.1", "video/mp4"},
	{"1.2.840.10008.1.2.4.103", "video/mp4"},
	{"1.2.840.10008.1.2.4.103.1", "video/mp4"},
	{"1.2.840.10008.1.2.4.104", "video/mp4"},
	{"1.2.840.10008.1.2.4.104.1", "video/mp4"},
	{"1.2.840.10008.1.2.4.105", "video/mp4"},
	{"1.2.840.10008.1.2.4.105.1", "video/mp4"},
	{"1.2.840.10008.1.2.4.106", "video/mp4"},
	{"1.2.840.10008.1.2.4.106.1", "video/mp4"},
	{"1.2.840.10008.1.2.4.107", "video/H265"},
	{"1.2.840.10008.1.2.4.108", "video/H265"},
}

// mediaTypeOf returns the media type of frames that are sent in a transfer syntax.
func mediaTypeOf(ts dataset.TransferSyntax) string {
	for _, m := range mediaTypes {
		if m.syntax == ts {
			return m.name
		}
	}
	return octetStream
}

// frameSyntaxes returns the transfer syntaxes of frames that the ranges permit, the preferred ones first. Each transfer syntax has its media
// type, so these say everything. application/octet-stream with a transfer syntax, which may be *, permits frames as they are stored: viewers ask so. A type
// of images without transfer syntax permits all of its own.
func frameSyntaxes(ranges []mediaRange, parameter string) Syntaxes {
	if len(ranges) == 0 {
		ranges = []mediaRange{{name: "*/*", quality: 1000}}
	}
	ranges = slices.Clone(ranges)
	slices.SortStableFunc(ranges, func(a, b mediaRange) int { return cmp.Compare(b.quality, a.quality) })
	var syntaxes Syntaxes
	for i := range ranges {
		r := &ranges[i]
		part := strings.ToLower(r.parameters["type"])
		syntax := cmp.Or(r.parameters["transfer-syntax"], parameter)
		switch {
		case r.quality == 0:
		case r.name == "*/*", r.name == "multipart/*", r.name == multipartRelated && (part == "" || part == octetStream || part == "*/*"):
			syntaxes = syntaxes.with(syntax)
		case r.name == multipartRelated:
			for _, m := range mediaTypes {
				if strings.EqualFold(m.name, part) && (syntax == "" || syntax == string(anySyntax) || syntax == string(m.syntax)) {
					syntaxes = syntaxes.with(string(m.syntax))
				}
			}
		}
	}
	return syntaxes
}

// maxFrameNumber is the greatest Number of Frames.
const maxFrameNumber = 1<<31 - 1

// readFrames reads the list of frame numbers in the path: numbers from 1, each once, in any order (PS3.18 section 10.1.1).
func (q *Request) readFrames() []api.Fault {
	if q.Frames == "" {
		return nil
	}
	fault := func(detail string) []api.Fault { return []api.Fault{{Pointer: "/frames", Detail: detail}} }
	seen := map[int]bool{}
	for text := range strings.SplitSeq(q.Frames, ",") {
		number, err := strconv.ParseUint(text, 10, 32)
		switch {
		case err != nil || number < 1 || number > maxFrameNumber:
			return fault("must be numbers from 1, separated by commas")
		case seen[int(number)]:
			return fault("must not contain a number twice")
		}
		seen[int(number)] = true
		q.FrameNumbers = append(q.FrameNumbers, int(number))
	}
	return nil
}

// readRendering reads the parameters of a rendered image or a thumbnail.
func (q *Request) readRendering() (faults []api.Fault) {
	if q.Kind == Rendered || q.Kind == Thumbnail {
		q.Rendering, faults = render.ParseParameters(q.Query, q.Kind == Thumbnail)
	}
	return faults
}

// pictureOffers are the offers of rendered images: parts if there are several.
func (q *Request) pictureOffers() []Offer {
	if len(q.FrameNumbers) < 2 {
		return []Offer{{Type: render.JPEG}, {Type: render.PNG}}
	}
	return []Offer{{Type: multipartRelated, Part: render.JPEG}, {Type: multipartRelated, Part: render.PNG}}
}

// asParts replaces types of images by parts of these, which is how several are sent.
func asParts(ranges []mediaRange) []mediaRange {
	for i := range ranges {
		if r := &ranges[i]; strings.HasPrefix(r.name, "image/") {
			r.parameters["type"] = r.name
			r.name = multipartRelated
		}
	}
	return ranges
}
