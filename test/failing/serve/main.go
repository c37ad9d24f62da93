// Command serve runs the PACS of package failing for tests that are not in Go: serve PACS_FILE DESTINATION writes a PACS_FILE that names
// them, prints their studies as JSON, and ends at the end of standard input.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"dicom-qr-gateway/test/failing"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: serve PACS_FILE DESTINATION")
	}
	pacs, err := failing.Start(args[1])
	if err != nil {
		return err
	}
	if err := pacs.WriteFile(args[0]); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"studies": pacs.Studies(), "whole": failing.Whole}); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return pacs.Close()
}
