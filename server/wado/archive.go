package wado

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"time"
)

// names makes the names of the files of an archive. They hold nothing of a PACS.
type names struct {
	series map[string]int // number by Series Instance UID
	files  map[int]int    // in each series
}

func (n *names) next(seriesInstanceUID string) string {
	number, known := n.series[seriesInstanceUID]
	if !known {
		number = len(n.series) + 1
		n.series[seriesInstanceUID] = number
	}
	n.files[number]++
	return fmt.Sprintf("series-%03d/instance-%05d.dcm", number, n.files[number])
}

// SendArchive sends the instances as the files of an archive (PS3.18 section 8.6.1.3), stored without compression. Without an error the
// answer has ended properly.
func SendArchive(t *Transfer) error {
	archive := zip.NewWriter(t.writer)
	names := names{series: map[string]int{}, files: map[int]int{}}
	now := time.Now().UTC()
	var head []byte
	for body, err := range t.bodies() {
		if err != nil {
			return err
		}
		if !t.begun {
			t.out.Header().Set("Content-Disposition", `attachment; filename="instances.zip"`)
			t.Begin(OfferZip.Type, 0)
		}
		file, err := archive.CreateHeader(&zip.FileHeader{Name: names.next(body.in.SeriesInstanceUID), Method: zip.Store, Modified: now})
		if err != nil {
			return err
		}
		head = body.meta.Append(head[:0])
		if err := t.send(file, head, body); err != nil {
			return err
		}
		if err := archive.Flush(); err != nil {
			return err
		}
	}
	outcome, err := t.end()
	if err != nil {
		return err
	}
	if !t.begun {
		return Incomplete(&outcome)
	}
	if !outcome.Complete {
		file, err := archive.CreateHeader(&zip.FileHeader{Name: "INCOMPLETE.json", Method: zip.Store, Modified: now})
		if err != nil {
			return err
		}
		if err := json.NewEncoder(file).Encode(Incomplete(&outcome).Document(t.CorrelationID)); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	t.finish(&outcome)
	return nil
}
