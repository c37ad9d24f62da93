// Command openapijson reads an OpenAPI document in YAML from standard input and writes
// the same document in JSON, with the keys in the same order, to standard output.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "openapijson:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	document, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	converted, err := yamlToJSON(document)
	if err != nil {
		return err
	}
	_, err = out.Write(converted)
	return err
}
