// Package environment reads everything that configures the gateway from the variables of its process and from files of variables.
package environment

import (
	"errors"
	"os"
	"runtime"
	"strings"

	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/memory"
)

// Environment holds the variables of the process and of files.
type Environment struct {
	variables map[string]string
	added     map[string]string // those that come from files
	faults    []fileFault
}

type fileFault struct {
	path string
	fault
}

func (f fileFault) String() string { return "--env-file: " + f.path + ": " + f.fault.String() }

// New returns the environment of the process, NAME=VALUE strings as of os.Environ.
func New(environ []string) *Environment {
	e := &Environment{variables: map[string]string{}, added: map[string]string{}}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if runtime.GOOS == "windows" { // the case of names does not count there
			name = strings.ToUpper(name)
		}
		e.variables[name] = value
	}
	return e
}

// AddFiles reads files. A variable of the process wins over a file, as docker run -e wins over --env-file, and a later file wins over
// an earlier one. An empty variable counts as not set. The error says which file cannot be read; Settings returns faults of lines.
func (e *Environment) AddFiles(paths []string) error {
	for _, path := range paths {
		variables, faults, err := readFile(path)
		if err != nil {
			return errors.New("--env-file: " + config.FileReason(path, err))
		}
		for _, fault := range faults {
			e.faults = append(e.faults, fileFault{path, fault})
		}
		for name, value := range variables {
			if _, ours := e.added[name]; ours || e.variables[name] == "" {
				e.variables[name], e.added[name] = value, value
			}
		}
	}
	return nil
}

// Settings holds everything that the environment configures.
type Settings struct {
	config.Config
	Demo   config.Demo
	Memory memory.Limits
}

// Settings reads all settings. The error is a *config.FaultsError that lists every fault.
func (e *Environment) Settings() (Settings, error) {
	var s Settings
	var errs [3]error
	s.Config, errs[0] = config.Load(e.variables)
	s.Demo, errs[1] = config.LoadDemo(e.variables, demo.CheckAddress)
	s.Memory, errs[2] = memory.ParseLimits(e.variables["GOGC"], e.variables["GOMEMLIMIT"])
	if s.MaxMemory == 0 {
		s.MaxMemory = config.Bytes(memory.Limit())
	}
	s.Memory = s.Memory.Within(int64(s.MaxMemory))

	var lines []string
	for _, fault := range e.faults {
		lines = append(lines, fault.String())
	}
	for _, err := range errs {
		if faults := (*config.FaultsError)(nil); errors.As(err, &faults) {
			lines = append(lines, faults.Lines...)
		} else if err != nil {
			lines = append(lines, strings.Split(err.Error(), "\n")...)
		}
	}
	if len(lines) > 0 {
		return s, &config.FaultsError{Lines: lines}
	}
	return s, nil
}

// Endpoint returns the address of the gateway's listener, and whether it serves HTTPS. It reads nothing else: other settings and
// files may have become invalid since the gateway started.
func (e *Environment) Endpoint() (address string, secure bool, err error) {
	for _, fault := range e.faults {
		if fault.name == "LISTEN_ADDR" || fault.name == "TLS_CERT_FILE" {
			return "", false, errors.New(fault.String())
		}
	}
	return config.Endpoint(e.variables)
}

// Export sets the variables of files for libraries that read the environment themselves, as OpenTelemetry does.
func (e *Environment) Export() error {
	for name, value := range e.added {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}
