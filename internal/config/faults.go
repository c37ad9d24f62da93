package config

import (
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/caarlos0/env/v11"
)

// FaultsError lists everything that is wrong with the settings, one line a variable: "NAME: reason", or one line a fault of
// PACS_FILE: "path:line: reason". The lines contain the paths of files and names of fields, but no other value.
type FaultsError struct{ Lines []string }

func (e *FaultsError) Error() string { return "faulty settings: " + strings.Join(e.Lines, "; ") }

// faultyVariables collects the faults of the environment, one a variable.
type faultyVariables struct {
	names   []string
	reasons map[string]string
	lines   map[string][]string // in place of name: reason
}

// addLines adds the faults of a file, as lines that name it.
func (f *faultyVariables) addLines(name string, lines ...string) {
	f.add(name, "")
	if f.lines == nil {
		f.lines = map[string][]string{}
	}
	f.lines[name] = lines
}

func (f *faultyVariables) add(name, reason string) {
	if _, known := f.reasons[name]; known {
		return
	}
	if f.reasons == nil {
		f.reasons = map[string]string{}
	}
	f.names = append(f.names, name)
	f.reasons[name] = reason
}

// addParseErrors adds the faults that env found in the fields of a struct.
func (f *faultyVariables) addParseErrors(of reflect.Type, err error) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		f.add("environment", "cannot be read")
		return
	}
	for _, err := range all.Errors {
		var fault env.ParseError
		if !errors.As(err, &fault) {
			f.add("environment", "cannot be read")
			continue
		}
		field, _ := of.FieldByName(fault.Name)
		reason := fault.Err.Error()
		switch field.Type.Kind() {
		case reflect.Bool:
			reason = "want true or false"
		case reflect.Int:
			reason = "want an integer"
		}
		f.add(field.Tag.Get("env"), reason)
	}
}

func (f *faultyVariables) err() error {
	if len(f.names) == 0 {
		return nil
	}
	slices.Sort(f.names)
	var lines []string
	for _, name := range f.names {
		if of := f.lines[name]; of != nil {
			lines = append(lines, of...)
			continue
		}
		lines = append(lines, name+": "+f.reasons[name])
	}
	return &FaultsError{lines}
}

// FileReason says why the file at path cannot be used, with the path. Paths are no secrets, but the contents of a file are: if
// they were given in place of a path, they are not repeated.
func FileReason(path string, err error) string {
	if strings.Contains(path, "-----BEGIN") || strings.ContainsFunc(path, unicode.IsControl) || errors.Is(err, syscall.ENAMETOOLONG) {
		return "want the path of a file, not its contents"
	}
	if fault := (*fs.PathError)(nil); errors.As(err, &fault) {
		err = fault.Err
	}
	return inFile(path, err.Error())
}

// inFile says what is wrong with the contents of the file at path.
func inFile(path, reason string) string {
	if strings.Contains(path, ": ") || !strconv.CanBackquote(path) {
		path = strconv.Quote(path)
	}
	return path + ": " + reason
}
