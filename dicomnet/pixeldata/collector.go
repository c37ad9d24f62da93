package pixeldata

import (
	"encoding/binary"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

// collector encodes the elements that are kept in Explicit VR Little Endian.
type collector struct {
	decoder *stream.Decoder
	keep    func(dataset.Tag) bool
	limit   int
	buf     []byte
}

const undefinedLength = 0xFFFFFFFF

// collect encodes the part of the data set that token begins, or skips it.
func (c *collector) collect(token *stream.Token) error {
	switch token.Kind {
	case stream.Element:
		if c.keeps(token.Tag) {
			return c.element(token)
		}
	case stream.SequenceStart:
		if !c.keeps(token.Tag) {
			return c.decoder.Skip()
		}
		c.header(token.Tag, token.VR.Name(), undefinedLength)
	case stream.ItemStart:
		c.delimiter(0xE000, undefinedLength)
	case stream.ItemEnd:
		c.delimiter(0xE00D, 0)
	case stream.SequenceEnd:
		c.delimiter(0xE0DD, 0)
	case stream.FragmentsStart:
		return c.decoder.Skip()
	default:
	}
	return c.check(0)
}

func (c *collector) keeps(tag dataset.Tag) bool {
	switch tag {
	case tagNumberOfFrames, tagSamplesPerPixel, tagPhotometric, tagPlanarConfiguration, tagRows, tagColumns, tagBitsAllocated, tagBitsStored,
		tagHighBit, tagPixelRepresentation:
		return true
	}
	return c.keep != nil && c.keep(tag)
}

func (c *collector) check(more int64) error {
	if int64(len(c.buf))+more > int64(c.limit) {
		return &LimitError{What: "bytes of attributes", Limit: int64(c.limit)}
	}
	return nil
}

func (c *collector) element(token *stream.Token) error {
	if err := c.check(token.Length + 12); err != nil {
		return err
	}
	value, err := c.decoder.Bytes(c.limit)
	if err != nil {
		return err
	}
	vr := token.VR.Name()
	if !token.VR.LongForm() && len(value) > 0xFFFF {
		vr = "OW" // a table that is US in implicit VR
	}
	c.header(token.Tag, vr, uint32(len(value)))
	c.buf = append(c.buf, value...)
	return nil
}

// header encodes the header of an element (PS3.5 section 7.1.2).
func (c *collector) header(tag dataset.Tag, name string, length uint32) {
	le := binary.LittleEndian
	c.buf = le.AppendUint16(le.AppendUint16(c.buf, tag.Group), tag.Element)
	c.buf = append(c.buf, name...)
	if vr, _ := dataset.LookupVR(name[0], name[1]); !vr.LongForm() {
		c.buf = le.AppendUint16(c.buf, uint16(length))
		return
	}
	c.buf = le.AppendUint32(append(c.buf, 0, 0), length)
}

func (c *collector) delimiter(element uint16, length uint32) {
	le := binary.LittleEndian
	c.buf = le.AppendUint32(le.AppendUint16(le.AppendUint16(c.buf, 0xFFFE), element), length)
}

// set returns what was collected.
func (c *collector) set() (*dataset.Set, error) {
	const maxElements = 1 << 20
	return dataset.Parse(c.buf, dataset.ExplicitVRLittleEndian, dataset.Limits{MaxDepth: 16, MaxElements: maxElements})
}
