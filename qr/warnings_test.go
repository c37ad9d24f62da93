package qr

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestEveryFactHasItsWords(t *testing.T) {
	var one, many tally
	for f := range one {
		one[f], many[f] = 1, 2
	}
	said := one.warnings()
	more := many.warnings()
	require.Len(t, said, int(facts))
	require.Len(t, more, int(facts))
	for f := range said {
		assert.NotEmpty(t, said[f].Code)
		assert.Equal(t, said[f].Code, more[f].Code)
		assert.Regexp(t, `^1 [A-Za-z][^\n]+[a-z]$`, said[f].Message)
		assert.Regexp(t, `^2 [A-Za-z][^\n]+[a-z]$`, more[f].Message)
		assert.NotEqual(t, said[f].Message, more[f].Message)
	}
}

func TestNothingToTellIsAnEmptyList(t *testing.T) {
	var none tally
	assert.Equal(t, []Warning{}, none.warnings())
}

func TestAWarningIsToldOnceWithItsNumber(t *testing.T) {
	var c tally
	c[duplicate] = 12345
	assert.Equal(t, []Warning{{WarningDuplicatesMerged, strconv.Itoa(12345) + " matches of studies already seen were merged"}}, c.warnings())
}

func TestEveryWarningOfADataSetIsTold(t *testing.T) {
	for flag, want := range map[dataset.Warning]WarningCode{
		dataset.CharacterSetAssumed:   WarningCharacterSetAssumed,
		dataset.CharacterSetUnknown:   WarningCharacterSetUnknown,
		dataset.TextUndecodable:       WarningTextUndecodable,
		dataset.ValueMalformed:        WarningValueMalformed,
		dataset.TransferSyntaxAssumed: WarningTransferSyntaxAssumed,
	} {
		var c tally
		c.text(flag)
		require.Len(t, c.warnings(), 1)
		assert.Equal(t, want, c.warnings()[0].Code)
	}
}
