package wado

import (
	"encoding/json"
	"strings"
	"testing"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/server/dicomweb"
)

var syntaxesOfFuzz = []dataset.TransferSyntax{
	dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian, dataset.ExplicitVRBigEndian, dataset.DeflatedExplicitVRLittleEndian, dataset.JPEGBaseline,
}

// FuzzAttributes reads data sets of a peer. Whatever they hold, what is written of one that can be read is valid JSON.
func FuzzAttributes(f *testing.F) {
	f.Add([]byte(element(0x0008_0005, "CS", "ISO_IR 100")+element(0x0010_0010, "PN", "M\xfcller^J ")+
		sequence(0x0040_0275, element(0x0040_0009, "SH", "SPS1"), element(0x0008_0005, "CS", "ISO_IR 192"))+element(0x7fe0_0010, "OW", "\x01\x00")), byte(0))
	f.Add([]byte(element(0x0028_0010, "US", "\x10\x00")+encapsulated("one ", "two ")), byte(4))
	f.Add([]byte("\x28\x00\x03\x01\x02\x00\x00\x00\x01\x00\x28\x00\x06\x01\x02\x00\x00\x00\xff\xff"), byte(1))
	f.Add([]byte(element(0x0020_0013, "IS", "7 ")+element(0x0020_0013, "IS", "8 ")+element(0x0008_0060, "CS", "CT")), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, syntax byte) {
		var out strings.Builder
		a := attributesWriter{json: dicomweb.NewJSONWriter(&out)}
		if a.write(strings.NewReader(string(data)), syntaxesOfFuzz[int(syntax)%len(syntaxesOfFuzz)], baseURL+"/bulkdata/") != nil {
			return
		}
		if err := a.json.Flush(); err != nil {
			t.Fatal(err)
		}
		if !json.Valid([]byte(out.String())) {
			t.Errorf("not JSON: %q", out.String())
		}
	})
}
