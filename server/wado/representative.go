package wado

import (
	"slices"
	"strings"

	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/problem"
)

// OfOne reports whether the answer is made of one instance that has to be chosen among those of a study or a series.
func (q *Request) OfOne() bool {
	return (q.Kind == Rendered || q.Kind == Thumbnail) && q.SOPInstanceUID == ""
}

// Representative returns the instance that stands for a study or a series: the one in the middle of the first series of images. The error is a problem.
func Representative(inventory *receive.Inventory) (receive.Target, error) {
	if len(inventory.Instances) == 0 {
		return receive.Target{}, &problem.Problem{
			Code: api.ProblemCodeRenderingUnsupported, Detail: "The PACS does not list the instances, so the gateway cannot choose one. Name the instance.",
		}
	}
	for series := range inventory.Series {
		var images []string
		for i := range inventory.Instances {
			in := &inventory.Instances[i]
			if in.Series == series && mayBeImage(in.SOPClassUID, inventory.Series[series].Modality) {
				images = append(images, in.SOPInstanceUID)
			}
		}
		if len(images) > 0 {
			return receive.Target{
				StudyInstanceUID: inventory.StudyInstanceUID, SeriesInstanceUID: inventory.Series[series].SeriesInstanceUID,
				SOPInstanceUID: images[len(images)/2],
			}, nil
		}
	}
	return receive.Target{}, &problem.Problem{Code: api.ProblemCodeNotAcceptable, Detail: notAnImage}
}

// notImages are the modalities (PS3.3 section C.7.3.1.1.1) of series without images that can be rendered. It counts if the PACS does not
// return the SOP class.
var notImages = []string{
	"ANN", "ASMT", "AU", "CFM", "DOC", "ECG", "EEG", "EMG", "EOG", "EPS", "FID", "HC", "HD", "KER", "KO", "LEN", "LENSMTR", "M3D", "OAM", "OSS",
	"PLAN", "POS", "PR", "REG", "RESP", "RTINTENT", "RTPLAN", "RTRAD", "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG", "SMR", "SR", "SRF",
	"STAIN", "TEXTUREMAP", "VA",
}

// storageRoot is how the UIDs of the Storage SOP classes begin (PS3.4 section B.5).
const storageRoot = "1.2.840.10008.5.1.4.1.1."

// otherClasses are the Storage SOP classes of other objects than images: exactly, or with a trailing dot all that begin so.
var otherClasses = []string{
	"8.", "9.", "9", "10", "11.", "66", "66.", "67", "68.", "78.", "79.", "88.", "90.", "91.", "104.", "131", "200.",
	"481.3", "481.4", "481.5", "481.6", "481.7", "481.8", "481.9", "481.10", "481.11", "481.12", "481.13", "481.14", "481.15",
}

// mayBeImage reports whether an instance may be an image that can be rendered.
func mayBeImage(class, modality string) bool {
	if class == "" {
		return !slices.Contains(notImages, modality)
	}
	rest, ok := strings.CutPrefix(class, storageRoot)
	return ok && !slices.ContainsFunc(otherClasses, func(other string) bool {
		return rest == other || strings.HasSuffix(other, ".") && strings.HasPrefix(rest, other)
	})
}
