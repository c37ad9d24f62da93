package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

const usage = `usage: dicom-qr-gateway [command]

  serve        answer requests (the default)
  demo         serve, with two PACS in memory beside it, on this machine only
  healthcheck  ask the running gateway for /health; exit status 0 means healthy
  version      print the version

Settings are environment variables; docs/settings.md lists them.
`

// run executes one command and returns the exit status. It writes output and the log to stdout, and the error of a command to
// stderr.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 1 {
		command = args[1]
	}
	var err error
	switch {
	case len(args) > 2:
		err = fmt.Errorf("at most one command\n\n%s", usage)
	case command == "serve":
		err = serve(ctx, getenv, stdout, nil)
	case command == "demo":
		err = serve(ctx, getenv, stdout, startDemo)
	case command == "healthcheck":
		err = healthcheck(ctx, getenv)
	case command == "version":
		_, err = fmt.Fprintln(stdout, buildInfo())
	case command == "help", command == "-h", command == "--help":
		_, err = io.WriteString(stdout, usage)
	default:
		err = fmt.Errorf("unknown command\n\n%s", usage)
	}
	if err != nil {
		report(stderr, err)
		return 1
	}
	return 0
}

// reportTimeout limits the wait for a standard error that blocks, as part of the longest shutdown.
const reportTimeout = 100 * time.Millisecond

// report writes the error of a command.
func report(stderr io.Writer, err error) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = fmt.Fprintf(stderr, "dicom-qr-gateway: %v\n", err)
	}()
	select {
	case <-written:
	case <-time.After(reportTimeout):
	}
}
