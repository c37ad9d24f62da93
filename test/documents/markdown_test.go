package documents

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sample = "# Title\n\n```sh\none\n```\n\nText.\n\n```json\n{}\n```\n\n```json\n[]\n```\n\n## Next `x`\n\n```sh\ntwo\n```\n\n" +
	"| A | B |\n|---|---|\n| `c` | d |\n\n# Last\n\n```text\n# no heading\n| no | row |\n```\n"

func TestExamplesPairACommandWithTheNextAnswerOfItsSection(t *testing.T) {
	assert.Equal(t, []Example{
		{Section: "Title", Command: "one\n", Kind: "json", Answer: "{}\n"},
		{Section: "Next `x`", Command: "two\n"},
	}, Document{Text: sample}.Examples())
}

func TestBlocksOfCodeHoldNoHeadingsAndNoTables(t *testing.T) {
	d := Document{Text: sample}
	assert.Equal(t, []string{"Title", "Next `x`", "Last"}, d.Headings())
	assert.Equal(t, []string{"title", "next-x", "last"}, anchors(d))
	assert.Equal(t, []Row{{"Next `x`", []string{"`c`", "d"}}}, d.Rows())
	assert.Equal(t, "{}\n", d.Block("Title", "json"))
	assert.NotContains(t, d.Prose(), "{}")
}

func TestItemsEndAtEmptyLinesAndHeadings(t *testing.T) {
	d := Document{Text: "# A\n\n- one\n  more\n- two\n\nText.\n\n```sh\n- no item\n```\n# B\n- three\n"}
	assert.Equal(t, []string{"one\n  more\n", "two\n"}, d.Items("A"))
	assert.Equal(t, []string{"three\n"}, d.Items("B"))
}

func TestSteadyHidesDurationsAndCorrelationIDs(t *testing.T) {
	assert.Equal(t, `{"duration_ms":0,"correlation_id":"","status":502}`, Steady(`{"duration_ms":1.25,"correlation_id":"a","status":502}`))
}

func TestContainingReturnsBlocksOfAnyLanguage(t *testing.T) {
	d := Document{Text: "```sh\nmake run\n```\n\nmake run\n\n```ts\n// make run\n```\n\n```sh\nmake\n```\n"}
	assert.Equal(t, []string{"make run\n", "// make run\n"}, d.Containing("make run"))
}

func TestWordsFollowTheQuotesOfAShell(t *testing.T) {
	all, err := words(`A=1 curl -d 'a "b" $c
 d' "Bearer $key" x'y'z`, map[string]string{"key": "k v"})
	require.NoError(t, err)
	assert.Equal(t, []string{"A=1", "curl", "-d", "a \"b\" $c\n d", "Bearer k v", "xyz"}, all)
	for _, command := range []string{"curl 'x", "curl x | jq", "curl x > y", "curl x; y"} {
		_, err := words(command, nil)
		require.Error(t, err, command)
	}
}

func TestRequestRefusesWhatItCannotRun(t *testing.T) {
	for _, command := range []string{"wget http://localhost/", "curl -X PUT http://localhost/", "curl http://localhost/ http://localhost/", "curl -H"} {
		_, err := request(t.Context(), command, nil)
		require.Error(t, err, command)
	}
}
