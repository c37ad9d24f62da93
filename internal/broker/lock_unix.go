//go:build unix

package broker

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks the file, and reports whether no other process has.
func tryLock(file *os.File) (bool, error) {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, &os.PathError{Op: "lock", Path: file.Name(), Err: err}
		}
	}
}

// syncDirectory makes sure that the names in the directory survive a power failure.
func syncDirectory(dir string) error {
	file, err := os.Open(dir) //nolint:gosec // The operator names the directory.
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
