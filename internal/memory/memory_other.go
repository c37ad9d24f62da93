//go:build !linux

package memory

func releaseProgramPages() {}
