package pixeldata

import "io"

// markedReader reads frames without an offset table: a frame begins with each fragment that begins a code stream. Frames are held until the
// end shows that there are as many as Number of Frames says. If that is too much to hold, it suffices that the fragment before each beginning
// ends a code stream.
type markedReader struct {
	*fragments
	family  family
	wanted  []int
	count   int
	hold    *holder
	number  int      // of frames that have been read
	begin   []byte   // the first bytes of the current fragment, which have been read
	pending []*Frame // frames that are wanted
	doubt   bool     // where a frame ended is not certain
}

var errCount = &IndeterminateError{Reason: "there is no offset table, and the number of code streams is not that of the frames"}

func (m *markedReader) next() (*Frame, error) {
	for len(m.pending) == 0 || !m.ended() && (m.doubt || m.hold.left > m.hold.limit/2) {
		if m.ended() {
			return nil, errCount
		}
		if err := m.frame(); err != nil {
			return nil, err
		}
		if m.number > m.count || m.ended() && m.number < m.count {
			return nil, errCount
		}
	}
	frame := m.pending[0]
	m.pending = m.pending[1:]
	return frame, nil
}

// frame reads the frame that begins with the current fragment, and keeps it if it is wanted.
func (m *markedReader) frame() error {
	if m.number == 0 {
		if err := m.look(); err != nil {
			return err
		}
		if !m.family.starts(m.begin) {
			return &IndeterminateError{Reason: "there is no offset table, and the first fragment begins no code stream"}
		}
	}
	m.number++
	wanted := len(m.wanted) > 0 && m.wanted[0] == m.number
	var data []byte
	for first := true; first || !m.ended() && !m.family.starts(m.begin); first = false {
		var err error
		if data, err = m.fragment(data, wanted); err != nil {
			return err
		}
		if err := m.fragments.next(); err != nil {
			return err
		}
		if m.ended() {
			break
		}
		if err := m.look(); err != nil {
			return err
		}
	}
	m.doubt = m.doubt || !m.family.distinct && !m.family.ends(data)
	if wanted {
		m.wanted = m.wanted[1:]
		m.pending = append(m.pending, heldFrame(m.number, m.family.trim(data)))
	}
	return nil
}

// fragment appends the current fragment to data. If it is not wanted, it keeps only the last bytes of both.
func (m *markedReader) fragment(data []byte, wanted bool) ([]byte, error) {
	data = append(data, m.begin...)
	if wanted {
		return m.hold.append(data, m.decoder)
	}
	last := lastBytes{b: data}
	_, err := io.Copy(&last, m.decoder)
	return last.b, err //nolint:wrapcheck // of the data set
}

// look reads the first bytes of the current fragment.
func (m *markedReader) look() error {
	b := make([]byte, startSize)
	n, err := io.ReadFull(m.decoder, b)
	m.begin = b[:n]
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err //nolint:wrapcheck // of the data set
}

// lastBytes keeps the last bytes that were written to it.
type lastBytes struct{ b []byte }

func (l *lastBytes) Write(p []byte) (int, error) {
	l.b = append(l.b, p[max(len(p)-tail, 0):]...)
	l.b = append(l.b[:0], l.b[max(len(l.b)-tail, 0):]...)
	return len(p), nil
}
