package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"dicom-qr-gateway/internal/cli"
	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/environment"
	"dicom-qr-gateway/internal/healthcheck"
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
			cli.Fail(stderr, err)
			return failed
		}
	}
	switch line.Command {
	case cli.Help:
		err = cli.WriteHelp(stdout)
	case cli.Version:
		_, err = fmt.Fprintln(stdout, buildInfo())
	case cli.Healthcheck:
		var address string
		var secure bool
		if address, secure, err = env.Endpoint(); err == nil {
			err = healthcheck.Check(ctx, address, secure)
		}
	case cli.Check:
		err = check(env, stdout)
		if faults := (*config.FaultsError)(nil); errors.As(err, &faults) {
			for _, line := range faults.Lines {
				_, _ = fmt.Fprintln(stderr, line)
			}
			return failed
		}
	case cli.Demo:
		end := env.DefaultsOfDemo()
		err = errors.Join(serve(ctx, env, stdout, startDemo), end())
	default:
		err = serve(ctx, env, stdout, nil)
	}
	if err != nil {
		cli.Fail(stderr, err)
		return failed
	}
	return 0
}

// check reports what would stop the start, or else the named PACS.
func check(env *environment.Environment, stdout io.Writer) error {
	settings, err := env.Settings()
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, settings.Summary())
	return err
}
