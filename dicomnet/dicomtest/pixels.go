package dicomtest

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/suyashkumar/dicom"

	"dicom-qr-gateway/dicomnet/dataset"
)

// pixels is the pixel data of an instance.
type pixels struct {
	// syntax is the compressed transfer syntax; empty means native.
	syntax dataset.TransferSyntax
	// value returns the value of Pixel Data: native pixels, or the items of the encapsulated format (PS3.5 section A.4). nil: the
	// instance has none.
	value func() []byte
	// generated is the length of native pixels that are made while they are sent, instead of value; 0: none.
	generated int64
}

// pixels returns the pixel data of the frames.
func (i *Image) pixels() pixels {
	frames := i.Frames
	switch {
	case i.GeneratedPixels > 0:
		return pixels{generated: i.GeneratedPixels + i.GeneratedPixels%2}
	case frames == nil:
		return pixels{}
	case i.TransferSyntax == "":
		return pixels{value: func() []byte { return padded(slices.Concat(frames()...)) }}
	}
	return pixels{syntax: i.TransferSyntax, value: func() []byte { return encapsulate(frames()) }}
}

// padded returns a value of even length.
func padded(b []byte) []byte {
	if len(b)%2 != 0 {
		b = append(slices.Clip(b), 0)
	}
	return b
}

// encapsulate returns the items of encapsulated pixel data: a Basic Offset Table, then each frame as one fragment.
func encapsulate(frames [][]byte) []byte {
	table := make([]byte, 0, 4*len(frames))
	var fragments []byte
	for _, frame := range frames {
		table = binary.LittleEndian.AppendUint32(table, uint32(len(fragments)))
		fragments = appendItem(fragments, padded(frame))
	}
	return append(appendItem(nil, table), fragments...)
}

func appendItem(b, value []byte) []byte {
	b = append(b, 0xFE, 0xFF, 0x00, 0xE0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// TransferSyntax returns the compressed transfer syntax of the instance, or "" if its pixels are native.
func (in *Instance) TransferSyntax() dataset.TransferSyntax { return in.pixels.syntax }

// Encode returns the data set of the instance: in Implicit or Explicit VR Little Endian, or in its compressed transfer syntax.
func (in *Instance) Encode(ts dataset.TransferSyntax) ([]byte, error) {
	if in.pixels.generated > 0 {
		r, err := in.Open(ts)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}
	elements := &dicom.Dataset{Elements: in.sorted}
	if compressed := in.pixels.syntax; compressed != "" {
		if ts != compressed {
			return nil, errors.New("the pixels are compressed")
		}
		b, err := dataset.Encode(elements, dataset.ExplicitVRLittleEndian)
		if err != nil {
			return nil, err
		}
		b = append(b, 0xE0, 0x7F, 0x10, 0x00, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF)
		b = append(b, in.pixels.value()...)
		return append(b, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0), nil
	}
	b, err := dataset.Encode(elements, ts)
	if err != nil || in.pixels.value == nil {
		return b, err
	}
	value := in.pixels.value()
	b, err = appendPixelHeader(b, ts, int64(len(value)))
	return append(b, value...), err
}

// appendPixelHeader appends the header of native Pixel Data of n bytes.
func appendPixelHeader(b []byte, ts dataset.TransferSyntax, n int64) ([]byte, error) {
	b = append(b, 0xE0, 0x7F, 0x10, 0x00)
	switch ts {
	case dataset.ExplicitVRLittleEndian:
		// PS3.5 section 8.1.2 allows OW for 8 bits a pixel too, and Implicit VR requires it.
		b = append(b, 'O', 'W', 0, 0)
	case dataset.ImplicitVRLittleEndian:
	default:
		return nil, errors.New("pixel data can only be written in little endian")
	}
	if n >= math.MaxUint32 {
		return nil, errors.New("a value of more than 4 GiB")
	}
	return binary.LittleEndian.AppendUint32(b, uint32(n)), nil
}
