package broker

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks the file, and reports whether no other process has.
func tryLock(file *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION):
		return false, nil
	}
	return false, &os.PathError{Op: "lock", Path: file.Name(), Err: err}
}

// syncDirectory does nothing: Windows writes the names with the files.
func syncDirectory(string) error { return nil }
