package dataset_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestKeptSetsSurviveTheirBufferAndParser(t *testing.T) {
	t.Parallel()
	var p dataset.Parser
	var k dataset.Keeper
	var kept []*dataset.Set
	for i := range 100 {
		ds := identifier()
		ds.Elements = append(ds.Elements, dataset.Integers(tag.Rows, i), dataset.Sequence(tag.RequestAttributesSequence,
			[]*dicom.Element{dataset.Text(tag.RequestedProcedureDescription, "Schädel")}))
		b, err := dataset.Encode(ds, dataset.ExplicitVRLittleEndian)
		require.NoError(t, err)
		set, err := p.Parse(b, dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		kept = append(kept, k.Keep(set))
		clear(b)
	}
	p.Forget()
	for i, set := range kept {
		assert.Equal(t, 21, set.Len())
		assert.Equal(t, "Müller-Lüdenscheidt^Jürgen", set.String(tag.PatientName))
		assert.Equal(t, []string{"CT", "SR"}, set.Strings(tag.ModalitiesInStudy))
		rows, ok := set.Int(tag.Rows)
		assert.True(t, ok)
		assert.Equal(t, int64(i), rows)
		require.Len(t, set.Items(tag.RequestAttributesSequence), 1)
		assert.Equal(t, "Schädel", set.Items(tag.RequestAttributesSequence)[0].String(tag.RequestedProcedureDescription))
		assert.Zero(t, set.Warnings())
	}
	assert.Less(t, k.Size(), 100*1500)
	assert.True(t, dataset.KeptSizesAreRight())
}

func TestKeepTakesOnlyWhatIsWanted(t *testing.T) {
	t.Parallel()
	set := parse(t,
		element(tag.PatientID, "P1"), element(tag.SpecificCharacterSet, "ISO_IR 100"), element(tag.PatientName, "M\xfcller"),
		element(tag.PatientID, "P2"), element(tag.PixelRepresentation, "\x01\x00"), element(tag.PixelPaddingValue, "\xff\xff"),
		element(tag.ModalityLUTSequence, item(element(tag.LUTDescriptor, "\xfe\xff"))),
	)
	var k dataset.Keeper
	kept := k.KeepTags(set, []tag.Tag{tag.StudyDate, tag.PatientName, tag.PatientID, tag.PixelPaddingValue, tag.ModalityLUTSequence, tag.Rows})
	var tags []tag.Tag
	for of := range kept.Tags() {
		tags = append(tags, of)
	}
	assert.Equal(t, []tag.Tag{tag.PatientName, tag.PatientID, tag.PixelPaddingValue, tag.ModalityLUTSequence}, tags, "sorted, each tag once")
	assert.Equal(t, "Müller", kept.String(tag.PatientName), "in the character set of the original")
	assert.Equal(t, "P1", kept.String(tag.PatientID), "the first counts")
	padding, _ := kept.Int(tag.PixelPaddingValue)
	assert.Equal(t, int64(-1), padding, "signed as the pixels of the original")
	descriptor, _ := kept.Items(tag.ModalityLUTSequence)[0].Int(tag.LUTDescriptor)
	assert.Equal(t, int64(-2), descriptor)
	assert.Equal(t, set.Warnings(), kept.Warnings())
}

func TestKeptSetsHaveTheirOwnWarningsAndCharacterSet(t *testing.T) {
	t.Parallel()
	var k dataset.Keeper
	parseKept := func(elements ...string) *dataset.Set { return k.Keep(parse(t, elements...)) }
	latin := parseKept(element(tag.SpecificCharacterSet, "ISO_IR 100"), element(tag.PatientName, "M\xfc"))
	unknown := parseKept(element(tag.SpecificCharacterSet, "KLINGON "), element(tag.PatientName, "M\xc3\xbc "))
	again := parseKept(element(tag.SpecificCharacterSet, "KLINGON "), element(tag.PatientName, "A "))
	none := parseKept(element(tag.PatientName, "M\xc3\xbc "))
	assert.Equal(t, "Mü", latin.String(tag.PatientName))
	assert.Equal(t, "Mü", unknown.String(tag.PatientName))
	assert.Equal(t, "Mü", none.String(tag.PatientName))
	assert.Zero(t, latin.Warnings())
	assert.NotZero(t, unknown.Warnings()&dataset.CharacterSetUnknown)
	assert.Equal(t, dataset.CharacterSetUnknown, again.Warnings())
	assert.Equal(t, dataset.CharacterSetAssumed, none.Warnings())
}

func TestKeepCopiesAnItem(t *testing.T) {
	t.Parallel()
	set := parse(t, element(tag.SpecificCharacterSet, "ISO_IR 100"),
		element(tag.RequestAttributesSequence, item(element(tag.RequestedProcedureDescription, "Sch\xe4del "))))
	var k dataset.Keeper
	kept := k.Keep(set.Items(tag.RequestAttributesSequence)[0])
	assert.Equal(t, "Schädel", kept.String(tag.RequestedProcedureDescription))
}

// TestKeepingTenThousandMatchesCostsLittle bounds what a search of 10,000 instances holds.
func TestKeepingTenThousandMatchesCostsLittle(t *testing.T) { //nolint:paralleltest // it measures
	b, err := dataset.Encode(identifier(), dataset.ImplicitVRLittleEndian)
	require.NoError(t, err)
	var p dataset.Parser
	var k dataset.Keeper
	const matches = 10_000
	allocations := testing.AllocsPerRun(1, func() {
		k = dataset.Keeper{}
		for range matches {
			set, err := p.Parse(b, dataset.ImplicitVRLittleEndian, dataset.Limits{})
			if err != nil {
				panic(err)
			}
			k.Keep(set)
		}
	})
	assert.Less(t, k.Size(), 16<<20)
	assert.Less(t, allocations, float64(matches)/5)
}

func BenchmarkKeep(b *testing.B) {
	encoded, err := dataset.Encode(identifier(), dataset.ImplicitVRLittleEndian)
	if err != nil {
		b.Fatal(err)
	}
	var p dataset.Parser
	var k dataset.Keeper
	b.ReportAllocs()
	for b.Loop() {
		set, err := p.Parse(encoded, dataset.ImplicitVRLittleEndian, dataset.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		sink += k.Keep(set).Len()
	}
}
