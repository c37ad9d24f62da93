//go:build profile

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// A gateway built with the tag profile writes a CPU profile of every two seconds into the folder of its executable. `make profile`
// merges them into default.pgo.
func init() {
	executable, err := os.Executable()
	if err != nil {
		panic(err)
	}
	folder := filepath.Dir(executable)
	go func() {
		for i := 0; ; i++ {
			if err := record(filepath.Join(folder, fmt.Sprintf("%d-%d.pprof", os.Getpid(), i))); err != nil {
				fmt.Fprintln(os.Stderr, "no CPU profile:", err)
				return
			}
		}
	}()
}

func record(path string) error {
	file, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	defer file.Close()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	pprof.StopCPUProfile()
	return os.Rename(path+".part", path) // the end of the process leaves the last one incomplete
}
