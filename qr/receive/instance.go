package receive

import (
	"context"
	"errors"
	"io"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/internal/cache"
	"dicom-qr-gateway/internal/spool"
)

const (
	// announceAfter is the size from which an instance is handed on while it arrives. A smaller one is handed on when it is complete.
	announceAfter = 1 << 20
	// maxHead bounds what is read of a data set to find its UIDs, which precede the pixels.
	maxHead = 1 << 20
	// headBuffer holds the beginning of most data sets up to their UIDs.
	headBuffer = 4 << 10
)

// receiveFromGet checks and stores an instance of a C-GET.
func (x *run) receiveFromGet(ctx context.Context, in *dicomnet.Instance, buf []byte) dicomnet.Status {
	head, read, err := stream.ReadHead(in, in.TransferSyntax, buf[:0], maxHead)
	if err != nil {
		return x.refuse(in, dicomnet.StatusIdentifierMismatch, false)
	}
	return x.receive(ctx, in, head, read)
}

// receive checks an instance and writes it to the spool. read is the part of its data set that has been read. The status is success only
// if the whole data set is handed over or spooled. Several calls may run at once.
func (x *run) receive(ctx context.Context, in *dicomnet.Instance, head stream.Head, read []byte) dicomnet.Status {
	switch {
	case head.SOPClassUID != in.SOPClassUID, head.SOPInstanceUID != in.SOPInstanceUID:
		return x.refuse(in, dicomnet.StatusIdentifierMismatch, false)
	case !contains(x.request.Target, &head):
		return x.refuse(in, dicomnet.StatusNotAuthorized, head.StudyInstanceUID != "" && head.SeriesInstanceUID != "")
	}
	arrival, verdict := x.arrivals.begin(in.SOPInstanceUID, in.SOPClassUID)
	switch verdict {
	case flood:
		x.fail(&FloodError{Max: x.arrivals.most})
		return dicomnet.StatusOutOfResources
	case drop:
		if n, err := io.Copy(io.Discard, in); err == nil {
			x.arrivals.repeated(arrival, n+int64(len(read)))
		}
		return dicomnet.StatusSuccess
	case take:
	}
	e := spool.Entry{Meta: in.Meta, StudyInstanceUID: head.StudyInstanceUID, SeriesInstanceUID: head.SeriesInstanceUID}
	s := &sink{writer: x.log.Append(ctx, e), cached: x.keep(e), check: stream.NewChecker(in.TransferSyntax)}
	_, err := s.Write(read)
	if err == nil {
		err = s.readFrom(in)
	}
	if err == nil && s.check.Truncated() {
		err = errTruncated
	}
	if err == nil {
		if err = s.writer.Commit(); err != nil {
			s.err = err
		}
	}
	if err != nil {
		s.cached.Abort()
		begun := s.writer.Abort(err)
		x.arrivals.end(arrival, s.size, false)
		switch {
		case s.err != nil: // the spool takes no more
			x.fail(s.err)
		case begun: // a caller has a part of it, which no other attempt can complete
			x.fail(err)
		}
		if errors.Is(err, errTruncated) {
			return dicomnet.StatusUnableToProcess
		}
		return dicomnet.StatusOutOfResources
	}
	s.cached.Commit()
	x.arrivals.end(arrival, s.size, true)
	return dicomnet.StatusSuccess
}

// refuse counts a refused instance, and returns the status. foreign means that it is not part of the target; otherwise it may be one of the
// missing instances.
func (x *run) refuse(in *dicomnet.Instance, status dicomnet.Status, foreign bool) dicomnet.Status {
	x.refused(in.SOPInstanceUID, foreign)
	return status
}

func (x *run) refused(uid string, foreign bool) {
	if !x.arrivals.refuse(uid, foreign) {
		x.fail(&FloodError{Max: x.arrivals.most})
	}
}

// contains reports whether an instance is part of the target. Some PACS send instances of other studies.
func contains(t Target, head *stream.Head) bool {
	return head.StudyInstanceUID == t.StudyInstanceUID && head.SeriesInstanceUID != "" &&
		(t.SeriesInstanceUID == "" || head.SeriesInstanceUID == t.SeriesInstanceUID) &&
		(t.SOPInstanceUID == "" || head.SOPInstanceUID == t.SOPInstanceUID)
}

// sink writes an instance to the spool, and lets readers begin once it is large.
type sink struct {
	writer    *spool.Writer
	cached    *cache.Writer // nil: it is not kept
	check     stream.Checker
	size      int64
	announced bool
	err       error // of the spool
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.writer.Write(p)
	s.size += int64(n)
	if err != nil {
		s.err = err
		return n, err
	}
	s.check.Add(p)
	_, _ = s.cached.Write(p) // never fails
	s.announce()
	return n, nil
}

// readFrom reads the rest of an instance straight into the memory of the spool.
func (s *sink) readFrom(in io.Reader) error {
	for {
		space, err := s.writer.Space()
		if err != nil {
			s.err = err
			return err
		}
		n, ended := in.Read(space)
		s.check.Add(space[:n])
		_, _ = s.cached.Write(space[:n])
		if s.err = s.writer.Take(n); s.err != nil {
			return s.err
		}
		s.size += int64(n)
		s.announce()
		if ended == io.EOF {
			return nil
		} else if ended != nil {
			return ended
		}
	}
}

// announce lets readers begin if the instance is large.
func (s *sink) announce() {
	if s.size > announceAfter && !s.announced {
		s.announced = true
		s.writer.Announce()
	}
}

// errTruncated reports a data set whose last fragment has arrived, and which ends within an element all the same.
var errTruncated = errors.New("the data set ends within an element")

// errEnded is the cause of the end of a retrieval that its caller has closed.
var errEnded = errors.New("the caller has left")
