// Package cli reads the command line of the gateway and writes its help.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"dicom-qr-gateway/internal/config"
)

// The commands. Serve is the default.
const (
	Serve       = "serve"
	Demo        = "demo"
	Check       = "check"
	Healthcheck = "healthcheck"
	Version     = "version"
	Help        = "help"
)

var commands = []struct{ name, help string }{
	{Serve, "answer requests (the default)"},
	{Demo, "serve, with two PACS in memory beside it, on this machine only"},
	{Check, "read all settings and the files that they name, print every fault, and exit; exit status 0 means valid"},
	{Healthcheck, "ask the running gateway at LISTEN_ADDR for /health; exit status 0 means healthy"},
	{Version, "print the version"},
	{Help, "print this text"},
}

// Line is a command line.
type Line struct {
	Command  string
	EnvFiles []string // in their order
}

// Parse reads the arguments after the program's name: one command, with options before and after it. Its errors are those of
// usage.
func Parse(args []string) (Line, error) {
	var line Line
	var version bool
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&version, "version", false, "")
	flags.Func("env-file", "", func(path string) error {
		if path == "" {
			return errors.New("want the path of a file")
		}
		line.EnvFiles = append(line.EnvFiles, path)
		return nil
	})
	var names []string
	for {
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			return Line{Command: Help}, nil
		} else if err != nil {
			return Line{}, err
		}
		if flags.NArg() == 0 {
			break
		}
		names, args = append(names, flags.Arg(0)), flags.Args()[1:]
	}
	switch {
	case len(names) > 1:
		return Line{}, errors.New("too many arguments, want one command")
	case len(names) == 1 && !known(names[0]):
		return Line{}, fmt.Errorf("unknown command %q", names[0])
	case version:
		line.Command = Version
	case len(names) == 1:
		line.Command = names[0]
	default:
		line.Command = Serve
	}
	return line, nil
}

func known(name string) bool {
	return slices.ContainsFunc(commands, func(c struct{ name, help string }) bool { return c.name == name })
}

// WriteHelp writes the commands, the options and every setting with its default and meaning.
func WriteHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString("usage: dicom-qr-gateway [options] [command]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-12s %s\n", c.name, c.help)
	}
	b.WriteString(`
Options:
  --env-file FILE  also read settings from FILE, one NAME=VALUE a line; a variable of the environment that is not empty wins over
                   the file, and a later file over an earlier one
  --version        print the version
  --help           print this text

Settings are environment variables. An empty variable counts as not set. Durations are seconds, such as 10 or 0.5, or have
units, such as 500ms or 1m30s. docs/settings.md explains more.
`)
	group := ""
	for _, setting := range config.Settings() {
		if setting.Group != group {
			group = setting.Group
			fmt.Fprintf(&b, "\n%s:\n", group)
		}
		b.WriteString("  " + setting.Name)
		if setting.Default != "" {
			fmt.Fprintf(&b, " (default %s)", setting.Default)
		}
		fmt.Fprintf(&b, "\n      %s\n", setting.Help)
	}
	b.WriteString(`
Read by Go and OpenTelemetry:
  GOGC (default 200, more for a heap below 24 MiB)
      heap growth in percent before garbage is collected
  GOMEMLIMIT
      soft memory limit, such as 224MiB
  OTEL_EXPORTER_OTLP_ENDPOINT
      URL of a collector: exports traces; docs/operations.md lists the other variables
`)
	_, err := io.WriteString(w, b.String())
	return err
}
