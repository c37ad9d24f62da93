package dicomtest

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// The SOP classes that a PACS stores (PS3.4 section B.5).
const (
	CTImageStorage                   = "1.2.840.10008.5.1.4.1.1.2"
	UltrasoundImageStorage           = "1.2.840.10008.5.1.4.1.1.6.1"
	UltrasoundMultiFrameImageStorage = "1.2.840.10008.5.1.4.1.1.3.1"
	VLPhotographicImageStorage       = "1.2.840.10008.5.1.4.1.1.77.1.4"

	computedRadiographyImageStorage = "1.2.840.10008.5.1.4.1.1.1"
	mrImageStorage                  = "1.2.840.10008.5.1.4.1.1.4"
	secondaryCaptureImageStorage    = "1.2.840.10008.5.1.4.1.1.7"
	basicTextSRStorage              = "1.2.840.10008.5.1.4.1.1.88.11"
)

// iod is what an information object definition of PS3.3 annex A has in addition to the common modules: its SOP class, its pixels
// and its own Type 1 and Type 2 attributes.
type iod struct {
	sopClass string
	// bits is the number of bits stored of a pixel; 0: no pixels.
	bits   int
	signed bool
	add    func(b *builder, index int)
}

var iods = map[string]iod{
	"CR": {computedRadiographyImageStorage, 12, false, addCR},
	"CT": {CTImageStorage, 16, true, addCT},
	"MR": {mrImageStorage, 12, false, addMR},
	"US": {UltrasoundImageStorage, 8, false, addUS},
	"SR": {basicTextSRStorage, 0, false, addSR},
}

func iodFor(modality string) iod {
	if d, ok := iods[modality]; ok {
		return d
	}
	return iod{secondaryCaptureImageStorage, 8, false, addSC}
}

// builder collects elements. It panics if a value has the wrong type for its tag.
type builder struct{ elements []*dicom.Element }

func (b *builder) add(t tag.Tag, value any) {
	e, err := dicom.NewElement(t, value)
	if err != nil {
		panic(fmt.Sprintf("dicomtest: %v: %v", t, err))
	}
	b.elements = append(b.elements, e)
}

// text adds a text attribute, of zero length if there is no value (Type 2).
func (b *builder) text(t tag.Tag, values ...string) {
	if len(values) == 1 && values[0] == "" {
		values = nil
	}
	b.add(t, append([]string{}, values...))
}

// replace adds elements, each in place of one with the same tag.
func (b *builder) replace(elements []*dicom.Element) {
	for _, e := range elements {
		b.elements = append(slices.DeleteFunc(b.elements, func(old *dicom.Element) bool { return old.Tag == e.Tag }), e)
	}
}

func (b *builder) numbers(t tag.Tag, values ...int) { b.add(t, values) }

// sequence adds a sequence; each function adds the elements of an item.
func (b *builder) sequence(t tag.Tag, items ...func(item *builder)) {
	value := make([][]*dicom.Element, 0, len(items))
	for _, fill := range items {
		var item builder
		fill(&item)
		value = append(value, item.elements)
	}
	b.add(t, value)
}

func addCT(b *builder, index int) {
	b.text(tag.ImageType, "ORIGINAL", "PRIMARY", "AXIAL")
	b.text(tag.KVP, "120")
	b.text(tag.RescaleIntercept, "-1024")
	b.text(tag.RescaleSlope, "1")
	addCrossSection(b, index)
}

func addMR(b *builder, index int) {
	b.text(tag.ImageType, "ORIGINAL", "PRIMARY", "OTHER")
	b.text(tag.ScanningSequence, "SE")
	b.text(tag.SequenceVariant, "NONE")
	b.text(tag.ScanOptions)
	b.text(tag.MRAcquisitionType, "2D")
	b.text(tag.RepetitionTime, "500")
	b.text(tag.EchoTime, "15")
	b.text(tag.EchoTrainLength, "1")
	addCrossSection(b, index)
}

// addCrossSection adds the Frame of Reference and Image Plane modules (PS3.3
// sections C.7.4.1 and C.7.6.2), which CT and MR images share.
func addCrossSection(b *builder, index int) {
	b.text(tag.PatientPosition, "HFS")
	b.text(tag.FrameOfReferenceUID, derivedUID("frame of reference"))
	b.text(tag.PositionReferenceIndicator)
	b.text(tag.AcquisitionNumber, "1")
	b.text(tag.ImagePositionPatient, "-8", "-8", strconv.Itoa(5*index))
	b.text(tag.ImageOrientationPatient, "1", "0", "0", "0", "1", "0")
	b.text(tag.SliceThickness, "5")
	b.text(tag.PixelSpacing, "1", "1")
}

func addCR(b *builder, _ int) {
	b.text(tag.ImageType, "ORIGINAL", "PRIMARY")
	b.text(tag.ViewPosition)
	b.text(tag.PatientOrientation, "L", "F")
}

func addUS(b *builder, _ int) {
	b.text(tag.ImageType, "ORIGINAL", "PRIMARY")
	b.text(tag.PatientOrientation)
}

func addSC(b *builder, _ int) {
	b.text(tag.ConversionType, "WSD")
	b.text(tag.PatientOrientation)
}

func addSR(b *builder, _ int) {
	b.sequence(tag.ReferencedPerformedProcedureStepSequence)
	b.sequence(tag.PerformedProcedureCodeSequence)
	b.text(tag.CompletionFlag, "COMPLETE")
	b.text(tag.VerificationFlag, "UNVERIFIED")
	b.text(tag.ValueType, "CONTAINER")
	b.text(tag.ContinuityOfContent, "SEPARATE")
	b.sequence(tag.ConceptNameCodeSequence, code("18748-4", "LN", "Diagnostic imaging report"))
	b.sequence(tag.ContentSequence, func(item *builder) {
		item.text(tag.RelationshipType, "CONTAINS")
		item.text(tag.ValueType, "TEXT")
		item.sequence(tag.ConceptNameCodeSequence, code("121071", "DCM", "Finding"))
		item.text(tag.TextValue, "Synthetic report without a finding.")
	})
}

func code(value, scheme, meaning string) func(*builder) {
	return func(item *builder) {
		item.text(tag.CodeValue, value)
		item.text(tag.CodingSchemeDesignator, scheme)
		item.text(tag.CodeMeaning, meaning)
	}
}
