package stream

import (
	"bytes"
	"io"

	"dicom-qr-gateway/dicomnet/dataset"
)

// Head is what identifies an instance. A UID that the data set does not have is empty.
type Head struct {
	SOPClassUID       string // (0008,0016)
	SOPInstanceUID    string // (0008,0018)
	StudyInstanceUID  string // (0020,000D)
	SeriesInstanceUID string // (0020,000E)
}

const (
	tagSOPClassUID       = 0x00080016
	tagSOPInstanceUID    = 0x00080018
	tagStudyInstanceUID  = 0x0020000d
	tagSeriesInstanceUID = 0x0020000e
	maxUID               = 64 // PS3.5 section 9.1
	maxHeadDepth         = 16 // of sequences of undefined length that ReadHead skips
)

// ReadHead reads the UIDs of a data set in transfer syntax ts, which precede pixel data. It stops after Series Instance UID (0020,000E), or
// where that would be, or where the data set ends.
//
// ReadHead appends all bytes that it reads to buf, so that the caller can pass them on, and returns the extended buffer, also with an error.
// It reads into the capacity of buf as much as r returns at once, and it reads no more than limit bytes. It allocates memory only if the
// capacity is too small, for the UIDs, and to inflate a deflated data set.
//
// UIDs are without padding. They consist of at most 64 digits and periods. An element that occurs a second time must have the same value.
//
// An error of r other than io.EOF is returned as it is. Other errors are a *dataset.TransferSyntaxError, a *dataset.FormatError, a
// *GroupError, a *TruncatedError, or a *dataset.LimitError: the UIDs are not among the first limit bytes, or sequences are nested deeper than
// 16 levels.
func ReadHead(r io.Reader, ts dataset.TransferSyntax, buf []byte, limit int) (Head, []byte, error) {
	l, deflated, err := layoutOf(ts)
	if err != nil {
		return Head{}, buf, err
	}
	if deflated {
		return readDeflatedHead(r, buf, limit)
	}
	h := headReader{r: r, buf: buf, start: len(buf), limit: limit}
	head, err := h.read(l)
	return head, h.buf, err
}

// headReader parses what it has appended to buf after start. pos is relative to start.
type headReader struct {
	r          io.Reader
	buf        []byte
	start, pos int
	limit      int
	ended      bool // r has returned io.EOF
	uids       [4][]byte

	nesting
}

// nesting is where a reader is in sequences and items of undefined length.
type nesting struct {
	current level                   // what it reads
	outer   [2 * maxHeadDepth]level // what is around it
	depth   int                     // of current
}

// level is a data set, or a sequence or item of undefined length.
type level struct {
	layout    layout
	item      bool // or data set
	fragments bool
}

// read parses elements until the UIDs have passed.
func (h *headReader) read(l layout) (Head, error) {
	h.current = level{layout: l, item: true}
	for {
		e, ok, err := h.header()
		if ok && err == nil {
			ok, err = h.element(&e)
		}
		if !ok || err != nil {
			return h.head(), err
		}
	}
}

// header reads the next header without consuming it. It returns false at the end of the data set.
func (h *headReader) header() (header, bool, error) {
	if ok, err := h.need(minHeader); err != nil || !ok {
		if err == nil && (h.depth > 0 || !onlyZeros(h.rest())) {
			err = h.truncated(nil)
		}
		return header{}, false, err
	}
	e := h.current.layout.header(h.rest())
	if e.size == maxHeader {
		if ok, err := h.need(maxHeader); err != nil || !ok {
			return e, false, h.truncated(err)
		}
		e = h.current.layout.header(h.rest())
	}
	if h.depth == 0 {
		if err := check(e.tag); err != nil {
			return e, false, err
		}
	}
	if e.size == 0 {
		return e, false, formatError(int64(h.pos), noVR)
	}
	return e, true, nil
}

// element passes the element, item or delimiter e. It returns false if the UIDs have passed.
func (h *headReader) element(e *header) (bool, error) {
	at := h.pos
	switch {
	case e.tag == tagItemDelimitation, e.tag == tagSequenceDelimitation:
		h.pos += minHeader
		h.leave(e.tag)
		return true, nil
	case !h.current.item && e.tag != tagItem:
		return false, formatError(int64(at), noItem)
	case h.current.item && e.tag == tagItem:
		return false, formatError(int64(at), strayItem)
	case h.depth == 0 && e.tag > tagSeriesInstanceUID:
		return false, nil
	}
	h.pos += e.size
	if e.length == undefinedLength {
		if h.current.fragments {
			return false, formatError(int64(at), fragmentUndefined)
		}
		return true, h.enter(e)
	}
	return h.depth > 0 || e.tag != tagSeriesInstanceUID, h.value(e)
}

// leave goes on behind a delimiter, which may be a stray one.
func (n *nesting) leave(t uint32) {
	if n.depth == 0 || t == tagItemDelimitation && !n.current.item {
		return
	}
	n.depth--
	if t == tagSequenceDelimitation && n.current.item {
		n.depth-- // the item has no delimiter
	}
	n.current = n.outer[n.depth]
}

// enter goes into the sequence or item e of undefined length.
func (n *nesting) enter(e *header) error {
	if n.depth == len(n.outer) {
		return &dataset.LimitError{What: "levels", Limit: maxHeadDepth}
	}
	n.outer[n.depth] = n.current
	n.depth++
	n.current.item = !n.current.item
	if !n.current.item {
		n.current.fragments = e.fragmented()
		if e.vr != (dataset.VR{}) && e.vr.Name() == "UN" {
			n.current.layout = implicitLE // PS3.5 section 6.2.2 note 3
		}
	}
	return nil
}

// value reads the value of e if it is one of the UIDs, and skips any other.
func (h *headReader) value(e *header) error {
	if int64(e.length) > int64(h.limit-h.pos) {
		return &dataset.LimitError{What: "bytes", Limit: h.limit}
	}
	i := -1
	if h.depth == 0 {
		i = uidIndex(e.tag)
	}
	if i < 0 {
		if ok, err := h.need(int(e.length)); err != nil || !ok {
			return h.truncated(err)
		}
		h.pos += int(e.length)
		return nil
	}
	if e.length > maxUID+2 {
		return formatError(int64(h.pos), badUID)
	}
	if ok, err := h.need(int(e.length)); err != nil || !ok {
		return h.truncated(err)
	}
	uid := trimUID(h.rest()[:e.length])
	if uid == nil || h.uids[i] != nil && !bytes.Equal(h.uids[i], uid) {
		return formatError(int64(h.pos), badUID)
	}
	h.uids[i] = uid
	h.pos += int(e.length)
	return nil
}

func uidIndex(t uint32) int {
	switch t {
	case tagSOPClassUID:
		return 0
	case tagSOPInstanceUID:
		return 1
	case tagStudyInstanceUID:
		return 2
	case tagSeriesInstanceUID:
		return 3
	}
	return -1
}

// trimUID returns b without padding, nil if the rest is not a UID. Spaces are wrong, but frequent.
func trimUID(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == 0 || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	if len(b) > maxUID {
		return nil
	}
	for _, c := range b {
		if (c < '0' || c > '9') && c != '.' {
			return nil
		}
	}
	return b
}

// head returns the UIDs read so far, in one allocation.
func (h *headReader) head() Head {
	var all [4 * maxUID]byte
	n := 0
	for _, uid := range h.uids {
		n += copy(all[n:], uid)
	}
	if n == 0 {
		return Head{}
	}
	var head Head
	text := string(all[:n])
	for i, uid := range []*string{&head.SOPClassUID, &head.SOPInstanceUID, &head.StudyInstanceUID, &head.SeriesInstanceUID} {
		*uid, text = text[:len(h.uids[i])], text[len(h.uids[i]):]
	}
	return head
}

func (h *headReader) rest() []byte { return h.buf[h.start+h.pos:] }

// truncated returns err, or a *TruncatedError if that is nil.
func (h *headReader) truncated(err error) error {
	if err != nil {
		return err
	}
	return &TruncatedError{Offset: int64(len(h.buf) - h.start)}
}

// need reads until n bytes follow pos. It returns false if the data set ends before.
func (h *headReader) need(n int) (bool, error) {
	for tries := 0; len(h.buf)-h.start-h.pos < n; tries++ {
		if h.ended {
			return false, nil
		}
		left := h.limit - (len(h.buf) - h.start)
		if h.pos+n > h.limit || left <= 0 {
			return false, &dataset.LimitError{What: "bytes", Limit: h.limit}
		}
		if tries == maxEmptyReads {
			return false, io.ErrNoProgress
		}
		if len(h.buf) == cap(h.buf) {
			h.grow(n)
		}
		space := h.buf[len(h.buf):cap(h.buf)]
		m, err := h.r.Read(space[:min(len(space), left)])
		h.buf = h.buf[:len(h.buf)+m]
		if m > 0 {
			tries = -1
		}
		if err == io.EOF {
			h.ended = true
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

// maxEmptyReads is how many times r may return nothing without an error.
const maxEmptyReads = 100

// grow makes room after buf, for at least n bytes after pos or as many as limit allows. The UIDs stay valid: they refer to the old array.
func (h *headReader) grow(n int) {
	const least = 4096
	size := max(2*cap(h.buf), h.start+h.pos+n, cap(h.buf)+least)
	grown := make([]byte, len(h.buf), min(size, h.start+max(h.limit, len(h.buf)-h.start+1)))
	copy(grown, h.buf)
	h.buf = grown
}
