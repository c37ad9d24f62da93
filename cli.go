package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// check reports what would stop the start.
func check(env *environment.Environment, stdout io.Writer) error {
	if _, err := env.Settings(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(stdout, "The settings are valid.")
	return err
}
