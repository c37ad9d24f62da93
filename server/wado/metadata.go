package wado

import (
	"context"
	"io"
	"strconv"

	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/dicomweb"
)

// SendMetadata sends the attributes of the instances in the DICOM JSON Model. It keeps them in the spool until the outcome is known, so
// that the status of the answer says whether it is complete.
func SendMetadata(ctx context.Context, t *Transfer) error {
	log := t.Spool.NewLog()
	defer log.Discard(context.Canceled)
	length, err := t.writeMetadata(log.Append(ctx, spool.Entry{}))
	if err != nil {
		log.Close(err)
		return err
	}
	log.Close(nil)
	outcome, err := t.end()
	if err != nil {
		return err
	}
	reader, ok := log.Reader()
	if !ok {
		return spool.ErrStale
	}
	defer reader.Close()
	missing := 0
	if !outcome.Complete {
		if missing = max(outcome.MissingCount, 1); outcome.Received <= 0 {
			return Incomplete(&outcome)
		}
	}
	h := t.out.Header()
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	h.Set(trailerOutcome, outcomeText(&outcome)) // it is known, so no trailer is needed
	t.Begin(t.Offer.Type, missing)
	for in, err := range reader.All(ctx) {
		if err != nil {
			return err
		}
		if _, err := in.WriteTo(t.writer); err != nil {
			return err
		}
	}
	return nil
}

// writeMetadata writes the attributes of all instances, and returns the length of that.
func (t *Transfer) writeMetadata(w *spool.Writer) (int64, error) {
	counted := &countingWriter{Writer: w}
	attributes := attributesWriter{json: dicomweb.NewJSONWriter(counted), assumed: t.CharacterSet}
	attributes.json.BeginArray()
	for in, err := range t.Source.All() {
		if err == nil {
			err = t.metadataOf(&attributes, in)
		}
		if err != nil {
			w.Abort(err)
			return 0, err
		}
	}
	attributes.json.EndArray()
	if err := attributes.json.Flush(); err != nil {
		w.Abort(err)
		return 0, err
	}
	return counted.n, w.Commit()
}

func (t *Transfer) metadataOf(a *attributesWriter, in *receive.Arrived) error {
	data := &countingReader{Reader: in}
	if err := a.write(data, in.TransferSyntax, t.instanceURL(in)+"/bulkdata/"); err != nil {
		if malformed(err) {
			err = unreadable(err)
		}
		return err
	}
	if t.Taken != nil {
		t.Taken(in, data.n)
	}
	return a.json.Err()
}

// instanceURL returns the URL of an instance.
func (t *Transfer) instanceURL(in *receive.Arrived) string {
	return t.BaseURL + "/studies/" + in.StudyInstanceUID + "/series/" + in.SeriesInstanceUID + "/instances/" + in.SOPInstanceUID
}

type countingWriter struct {
	io.Writer
	n int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.n += int64(n)
	return n, err
}

type countingReader struct {
	io.Reader
	n int64
}

func (r *countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.n += int64(n)
	return n, err
}
