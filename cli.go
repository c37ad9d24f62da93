package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dicom-qr-gateway/internal/cli"
	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/environment"
)

// The exit statuses of errors.
const (
	failed = 1
	misuse = 2
)

// run executes one command and returns the exit status. It writes output and the log to stdout, and errors to stderr. environ
// holds NAME=VALUE strings.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	line, err := cli.Parse(args[1:])
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "dicom-qr-gateway: %v\nTry 'dicom-qr-gateway --help'.\n", err)
		return misuse
	}
	env := environment.New(environ)
	if line.Command != cli.Help && line.Command != cli.Version {
		if err := env.AddFiles(line.EnvFiles); err != nil {
			return fail(stderr, err)
		}
	}
	switch line.Command {
	case cli.Help:
		err = cli.WriteHelp(stdout)
	case cli.Version:
		_, err = fmt.Fprintln(stdout, buildInfo())
	case cli.Healthcheck:
		err = checkHealth(ctx, env)
	case cli.Check:
		err = check(env, stdout)
		if faults := (*config.FaultsError)(nil); errors.As(err, &faults) {
			for _, line := range faults.Lines {
				_, _ = fmt.Fprintln(stderr, line)
			}
			return failed
		}
	case cli.Demo:
		err = serve(ctx, env, stdout, startDemo)
	default:
		err = serve(ctx, env, stdout, nil)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return 0
}

// reportTimeout limits the wait for a standard error that blocks, as part of the longest shutdown.
const reportTimeout = 100 * time.Millisecond

// fail writes the error of a command and returns the exit status.
func fail(stderr io.Writer, err error) int {
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = fmt.Fprintf(stderr, "dicom-qr-gateway: %v\n", err)
	}()
	select {
	case <-written:
	case <-time.After(reportTimeout):
	}
	return failed
}

// check reports what would stop the start, or else the named PACS.
func check(env *environment.Environment, stdout io.Writer) error {
	settings, err := env.Settings()
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("The settings are valid.\n")
	for _, peer := range settings.PACS().List() {
		fmt.Fprintf(&b, "PACS %s: %s at %s, called by %s", peer.Name, peer.CalledAETitle, peer.Address(), peer.CallingAETitle)
		if peer.TLS {
			b.WriteString(" with TLS")
		}
		if !peer.Profile().Known {
			b.WriteString(", without a profile")
		}
		b.WriteString("\n")
	}
	_, err = io.WriteString(stdout, b.String())
	return err
}
