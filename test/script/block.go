//go:build samples || recipes || image

package script

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"dicom-qr-gateway/test/documents"
)

// Block returns the one code block with the text in the documents, which are glob patterns relative to root, separated by
// spaces. With a pattern for several documents, a block may move from one to another.
func Block(root, patterns, text string) (string, error) {
	var found []string
	for pattern := range strings.FieldsSeq(patterns) {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			document, err := documents.Read("", file)
			if err != nil {
				return "", err
			}
			found = append(found, document.Containing(text)...)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d code blocks with %q in %s, want 1", len(found), text, patterns)
	}
	return found[0], nil
}

func block(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 3)
	text, err := Block(ts.Getenv("ROOT"), args[0], args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text), 0o600))
}
