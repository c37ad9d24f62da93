// Package profile records where the gateway spends its time, for the profile that Go compiles it with. Only a gateway built with the
// tag profile imports it.
package profile

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// Record writes CPU profiles into the folder of the executable until the process ends, or until it cannot, which it reports to the
// standard error.
func Record() {
	executable, err := os.Executable()
	if err == nil {
		err = recordAll(filepath.Dir(executable), 2*time.Second)
	}
	fmt.Fprintln(os.Stderr, "no CPU profile:", err)
}

// recordAll writes a CPU profile of each period into a file of its own in folder, until the process ends or an error occurs. The file of a
// period that has not ended has another extension than .pprof.
func recordAll(folder string, period time.Duration) error {
	for i := 0; ; i++ {
		if err := record(filepath.Join(folder, fmt.Sprintf("%d-%d.pprof", os.Getpid(), i)), period); err != nil {
			return err
		}
	}
}

func record(path string, period time.Duration) (err error) {
	file, err := os.Create(path + ".part") //nolint:gosec // beside the executable
	if err != nil {
		return err
	}
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
		if err == nil {
			err = os.Rename(path+".part", path)
		}
	}()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	time.Sleep(period)
	pprof.StopCPUProfile()
	return nil
}
