package server

import (
	"bytes"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// rereadInterval is how old what was read of a file may be when it is asked for.
const rereadInterval = time.Second

// namedFile is a file and the setting that names it.
type namedFile struct{ setting, path string }

// fileError is what is wrong with a file of a setting. It repeats nothing of what
// the file holds.
type fileError struct{ setting, reason string }

func (f *fileError) Error() string { return f.setting + ": " + f.reason }

// reloaded is a value made of files, which are read again when it is asked for
// and rereadInterval has passed. Contents are compared, not times: those of a
// file that is replaced twice in a moment, or by way of a link, may not differ.
// What cannot be used changes nothing. It is safe for concurrent use.
type reloaded[T any] struct {
	files []namedFile
	parse func(contents [][]byte) (*T, *fileError)
	// changed is told of each new version: nil, or why it is not used. It is set
	// before the first get.
	changed func(*fileError)

	interval time.Duration
	current  atomic.Pointer[T]
	mu       sync.Mutex // held by the one who reads again
	checked  atomic.Int64
	contents [][]byte
	fault    fileError
}

func newReloaded[T any](parse func([][]byte) (*T, *fileError), files ...namedFile) (*reloaded[T], *fileError) {
	r := &reloaded[T]{files: files, parse: parse, interval: rereadInterval, changed: func(*fileError) {}}
	contents, fault := r.read()
	if fault != nil {
		return nil, fault
	}
	value, fault := parse(contents)
	if fault != nil {
		return nil, fault
	}
	r.contents = contents
	r.current.Store(value)
	r.checked.Store(time.Now().UnixNano())
	return r, nil
}

// get is the value of the last version that could be used.
func (r *reloaded[T]) get() *T {
	if time.Now().UnixNano()-r.checked.Load() >= int64(r.interval) && r.mu.TryLock() {
		r.reread()
		r.checked.Store(time.Now().UnixNano())
		r.mu.Unlock()
	}
	return r.current.Load()
}

func (r *reloaded[T]) reread() {
	contents, fault := r.read()
	if fault == nil {
		if same(contents, r.contents) {
			r.fault = fileError{}
			return
		}
		var value *T
		if value, fault = r.parse(contents); fault == nil {
			r.contents, r.fault = contents, fileError{}
			r.current.Store(value)
			r.changed(nil)
			return
		}
	}
	if *fault != r.fault { // told once
		r.fault = *fault
		r.changed(fault)
	}
}

func (r *reloaded[T]) read() ([][]byte, *fileError) {
	contents := make([][]byte, len(r.files))
	for i, file := range r.files {
		var err error
		if contents[i], err = os.ReadFile(file.path); err != nil {
			return nil, &fileError{file.setting, "the file cannot be read"}
		}
	}
	return contents, nil
}

func same(a, b [][]byte) bool {
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
