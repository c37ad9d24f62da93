package dataset_test

import (
	"strings"
	"testing"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// nameVectors hold a person name in common character sets, one for each way of decoding.
var nameVectors = []struct{ characterSet, text string }{
	{"", "Adams^John Robert Quincy^^Rev."},
	{"ISO_IR 100", "Müller-Lüdenscheidt^Jürgen^^Dr."},
	{"ISO_IR 144", "Люксембург^Роза^Эдуардовна"},
	{"ISO_IR 192", "Wang^XiaoDong=王^小東"},
	{"GB18030", "Wang^XiaoDong=王^小东"},
	{`\ISO 2022 IR 87`, "Yamada^Tarou=山田^太郎=やまだ^たろう"},
	{`\ISO 2022 IR 149`, "Hong^Gildong=洪^吉洞=홍^길동"},
}

// patientNamed returns a data set with a Specific Character Set and a Patient's Name.
func patientNamed(characterSet, text string) *dicom.Dataset {
	return &dicom.Dataset{Elements: []*dicom.Element{
		dataset.Text(tag.SpecificCharacterSet, strings.Split(characterSet, `\`)...),
		dataset.Text(tag.PatientName, text),
	}}
}

func BenchmarkDecodeText(b *testing.B) {
	for _, v := range nameVectors {
		b.Run(v.characterSet, func(b *testing.B) {
			encoded, err := dataset.Encode(patientNamed(v.characterSet, v.text), dataset.ImplicitVRLittleEndian)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				set, err := dataset.Parse(encoded, dataset.ImplicitVRLittleEndian, dataset.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if set.String(tag.PatientName) != v.text {
					b.Fatal(set.String(tag.PatientName))
				}
			}
		})
	}
}

func BenchmarkEncodeText(b *testing.B) {
	for _, v := range nameVectors {
		b.Run(v.characterSet, func(b *testing.B) {
			ds := patientNamed(v.characterSet, v.text)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := dataset.Encode(ds, dataset.ImplicitVRLittleEndian); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
