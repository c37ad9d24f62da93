package main

import (
	"runtime/debug"

	"dicom-qr-gateway/server"
)

// The linker sets these variables (-X main.version=...). Otherwise the build information of Go provides some of them.
var version, commit, date string

func buildInfo() server.BuildInfo {
	info := server.BuildInfo{Version: version, Commit: commit, Date: date}
	if built, ok := debug.ReadBuildInfo(); ok {
		info.GoVersion = built.GoVersion
		setDefault(&info.Version, built.Main.Version)
		for _, setting := range built.Settings {
			switch setting.Key {
			case "vcs.revision":
				setDefault(&info.Commit, setting.Value)
			case "vcs.time":
				setDefault(&info.Date, setting.Value)
			}
		}
	}
	setDefault(&info.Version, "(devel)")
	return info
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
