package wado

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/problem"
)

// maxPath is the number of sequences in a path: as deep as data sets are read.
const maxPath = 16

// parsePath reads the path to a value: tags, and the numbers of items between them.
func parsePath(path string) ([]step, bool) {
	parts := strings.Split(path, ".")
	if len(parts)%2 == 0 || len(parts) > 2*maxPath+1 {
		return nil, false
	}
	steps := make([]step, 0, len(parts)/2+1)
	for i := 0; i < len(parts); i += 2 {
		number, err := strconv.ParseUint(parts[i], 16, 32)
		if err != nil || len(parts[i]) != len("ggggeeee") {
			return nil, false
		}
		s := step{tag: dataset.Tag{Group: uint16(number >> 16), Element: uint16(number)}}
		if i+1 < len(parts) {
			item, err := strconv.ParseUint(parts[i+1], 10, 31)
			if err != nil || item == 0 || parts[i+1][0] == '0' || parts[i+1][0] == '+' {
				return nil, false
			}
			s.item = int(item)
		}
		steps = append(steps, s)
	}
	return steps, true
}

// find reads the data set up to the value at a path. It returns io.EOF if there is none.
func find(d *stream.Decoder, path []step) (*stream.Token, error) {
	inside := 0 // items that are on the path
	for {
		t, err := d.Next()
		if err != nil {
			return nil, err
		}
		here, last := t.Depth == inside && t.Tag == path[inside].tag, inside == len(path)-1
		switch t.Kind {
		case stream.Element, stream.FragmentsStart:
			if here && last {
				return &t, nil
			}
		case stream.ItemStart:
			if here && t.Index == path[inside].item {
				inside++
			}
		case stream.ItemEnd:
			if t.Depth == inside-1 {
				return nil, io.EOF
			}
		}
		if t.Kind == stream.FragmentsStart || t.Kind == stream.SequenceStart && (!here || last) {
			if err := d.Skip(); err != nil {
				return nil, err
			}
		}
	}
}

// SendBulkData sends the value at the path of the request. Its last byte leaves when the retrieval is known to be complete.
func SendBulkData(t *Transfer) error {
	path, _ := parsePath(t.Path) // Parse has checked it
	for in, err := range t.Source.All() {
		if err != nil {
			return err
		}
		if t.begun {
			continue
		}
		data := &countingReader{Reader: in}
		if err := t.sendValue(data, in.TransferSyntax, path, t.instanceURL(in)+"/bulkdata/"+t.Path); err != nil {
			return err
		}
		if t.Taken != nil {
			t.Taken(in, data.n)
		}
	}
	if !t.begun {
		outcome, err := t.end()
		if err != nil {
			return err
		}
		return Incomplete(&outcome)
	}
	return t.endHeld()
}

func (t *Transfer) sendValue(r io.Reader, ts dataset.TransferSyntax, path []step, location string) error {
	d := stream.NewDecoder(r, ts, stream.Limits{})
	defer d.Close()
	token, err := find(d, path)
	switch {
	case errors.Is(err, io.EOF), err == nil && token.Kind == stream.Element && token.Length == 0:
		return &problem.Problem{Code: api.ProblemCodeNotFound, Detail: "The instance has no value at this path."}
	case err != nil:
		return readError(err)
	case token.Kind == stream.FragmentsStart:
		err = t.sendFragments(d, ts, location)
	default:
		err = t.sendNative(d, token.Length, location)
	}
	if err != nil {
		return readError(err)
	}
	// The rest of the data set shows whether it is whole.
	_, err = io.Copy(io.Discard, r)
	return err
}

// sendNative sends a value of a length, or the range of it that the request selects, except the last byte.
func (t *Transfer) sendNative(d *stream.Decoder, length int64, location string) error {
	if err := t.beginValue(length, location); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, d, t.from); err != nil {
		return err
	}
	if _, err := io.CopyN(onlyWriter{t.writer}, d, t.length-1); err != nil {
		return err
	}
	t.held = make([]byte, 1)
	_, err := io.ReadFull(d, t.held)
	return err
}

// readError returns the error to answer with if a data set cannot be read.
func readError(err error) error {
	if malformed(err) {
		return unreadable(err)
	}
	return err
}

// beginValue begins the answer with a value of a length, or with the range of it that the request selects.
func (t *Transfer) beginValue(length int64, location string) error {
	const syntax = dataset.ExplicitVRLittleEndian // which is how the value is read
	h := t.out.Header()
	t.from, t.length = 0, length
	if t.Offer.Multipart() {
		t.beginPart(syntax, location)
		return nil
	}
	h.Set("Content-Location", location)
	h.Set("Accept-Ranges", "bytes")
	status := http.StatusOK
	if t.Range != "" {
		switch from, n, ok := parseRangeOf(t.Range, length); {
		case ok && n == 0:
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(length, 10))
			return &problem.Problem{Code: api.ProblemCodeRangeNotSatisfiable}
		case ok:
			t.from, t.length, status = from, n, http.StatusPartialContent
			h.Set("Content-Range", "bytes "+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(from+n-1, 10)+"/"+strconv.FormatInt(length, 10))
		}
	}
	h.Set("Content-Length", strconv.FormatInt(t.length, 10))
	t.begin(octetStream+"; transfer-syntax="+string(syntax), status)
	return nil
}

func (t *Transfer) beginPart(syntax dataset.TransferSyntax, location string) {
	t.parts = newMultipart(t.writer, octetStream)
	t.Begin(t.parts.contentType(), 0)
	head := append(t.parts.next(octetStream+"; transfer-syntax="+string(syntax)), "Content-Location: "...)
	_, _ = t.writer.Write(append(append(head, location...), "\r\n\r\n"...)) // the next write returns the error
}

// sendFragments sends the fragments of encapsulated pixel data, one behind the other. Their length is not known before.
func (t *Transfer) sendFragments(d *stream.Decoder, ts dataset.TransferSyntax, location string) error {
	if t.Offer.Multipart() {
		t.beginPart(ts, location)
	} else {
		t.out.Header().Set("Content-Location", location)
		t.Begin(octetStream+"; transfer-syntax="+string(ts), 0)
	}
	for {
		token, err := d.Next()
		if err != nil {
			return err
		}
		switch token.Kind {
		case stream.Fragment:
			if _, err := d.WriteTo(t.writer); err != nil {
				return err
			}
		case stream.FragmentsEnd:
			return nil
		}
	}
}

// endHeld ends the answer if the retrieval is complete.
func (t *Transfer) endHeld() error {
	outcome, err := t.end()
	if err != nil {
		return err
	}
	if !outcome.Complete {
		return Incomplete(&outcome)
	}
	if len(t.held) > 0 {
		if _, err := t.writer.Write(t.held); err != nil {
			return err
		}
	}
	if t.parts != nil {
		if err := t.parts.end(); err != nil {
			return err
		}
	}
	t.finish(&outcome)
	return nil
}

// parseRangeOf reads one range of bytes (RFC 9110 section 14.1.2). It returns false for anything else, which is ignored, and no bytes for a
// range that the value does not have.
func parseRangeOf(field string, length int64) (from, n int64, ok bool) {
	unit, ranges, found := strings.Cut(field, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(ranges, ",") {
		return 0, 0, false
	}
	first, last, found := strings.Cut(strings.TrimSpace(ranges), "-")
	if !found {
		return 0, 0, false
	}
	position := func(s string) (int64, bool) {
		v, err := strconv.ParseInt(s, 10, 64)
		return v, err == nil && v >= 0 && s[0] != '+'
	}
	if first == "" {
		suffix, valid := position(last)
		suffix = min(suffix, length)
		return length - suffix, suffix, valid
	}
	from, valid := position(first)
	to := length - 1
	if last != "" && valid {
		if to, valid = position(last); valid && to < from {
			return 0, 0, false
		}
	}
	if !valid {
		return 0, 0, false
	}
	if from >= length {
		return 0, 0, true
	}
	return from, min(to, length-1) - from + 1, true
}
