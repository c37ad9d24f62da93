package qr

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
)

func TestEachEventHasACodeAndMessages(t *testing.T) {
	var one, many counts
	for e := range one {
		one[e], many[e] = 1, 2
	}
	ones := one.warnings()
	twos := many.warnings()
	require.Len(t, ones, int(events))
	require.Len(t, twos, int(events))
	for e := range ones {
		assert.NotEmpty(t, ones[e].Code)
		assert.Equal(t, ones[e].Code, twos[e].Code)
		assert.Regexp(t, `^1 [A-Za-z][^\n]+[a-z]$`, ones[e].Message)
		assert.Regexp(t, `^2 [A-Za-z][^\n]+[a-z]$`, twos[e].Message)
		assert.NotEqual(t, ones[e].Message, twos[e].Message)
	}
}

func TestNoWarningsIsAnEmptyList(t *testing.T) {
	var none counts
	assert.Equal(t, []Warning{}, none.warnings())
}

func TestWarningHasItsNumberOfMatches(t *testing.T) {
	var c counts
	c[duplicate] = 12345
	assert.Equal(t, []Warning{{WarningDuplicatesMerged, strconv.Itoa(12345) + " matches of studies already seen were merged"}}, c.warnings())
}

func TestEachWarningOfADataSetIsReported(t *testing.T) {
	for flag, want := range map[dataset.Warnings]WarningCode{
		dataset.CharacterSetAssumed:   WarningCharacterSetAssumed,
		dataset.CharacterSetUnknown:   WarningCharacterSetUnknown,
		dataset.TextUndecodable:       WarningTextUndecodable,
		dataset.ValueMalformed:        WarningValueMalformed,
		dataset.TransferSyntaxAssumed: WarningTransferSyntaxAssumed,
	} {
		var c counts
		c.addText(flag)
		require.Len(t, c.warnings(), 1)
		assert.Equal(t, want, c.warnings()[0].Code)
	}
}
