package config

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// rereadInterval is the age at which the contents of files are read again, when their value is next needed.
const rereadInterval = time.Second

// namedFile is a file and the setting that names it.
type namedFile struct{ setting, path string }

// read returns the contents of the file.
func (f namedFile) read() ([]byte, *fileError) {
	contents, err := os.ReadFile(f.path)
	if err != nil {
		return nil, &fileError{f.setting, FileReason(f.path, err)}
	}
	return contents, nil
}

// fault returns what is wrong with the contents of the file.
func (f namedFile) fault(reason string) *fileError {
	return &fileError{f.setting, inFile(f.path, reason)}
}

// fileError says what is wrong with the file of a setting. It holds nothing of the file's contents.
type fileError struct{ setting, reason string }

func (f *fileError) Error() string { return f.setting + ": " + f.reason }

// lines returns the reasons: a file of many lines has one a line.
func (f *fileError) lines() []string { return strings.Split(f.reason, "\n") }

// reloaded is a value made of files. The files are read again when the value is needed and rereadInterval has passed. It
// compares contents, not times: two versions of a file that is replaced quickly, or through a link, can have the same time.
// A version that is not usable is ignored. It is safe for concurrent use.
type reloaded[T any] struct {
	files []namedFile
	parse func(files []namedFile, contents [][]byte) (*T, *fileError)
	// changed is called for each new version, with nil or the reason why it is ignored. It is set before the first get.
	changed func(*fileError)

	interval time.Duration
	current  atomic.Pointer[T]
	mu       sync.Mutex // held while the files are read again
	now      func() time.Time
	began    time.Time
	checked  atomic.Int64 // the time since began at which the files were read last; the difference of two times is monotonic
	contents [][]byte
	fault    fileError
}

func newReloaded[T any](parse func([]namedFile, [][]byte) (*T, *fileError), files ...namedFile) (*reloaded[T], *fileError) {
	r := &reloaded[T]{files: files, parse: parse, interval: rereadInterval, changed: func(*fileError) {}, now: time.Now, began: time.Now()}
	contents, fault := r.read()
	if fault != nil {
		return nil, fault
	}
	value, fault := parse(files, contents)
	if fault != nil {
		return nil, fault
	}
	r.contents = contents
	r.current.Store(value)
	return r, nil
}

// get returns the value of the last usable version.
func (r *reloaded[T]) get() *T {
	if int64(r.since())-r.checked.Load() >= int64(r.interval) && r.mu.TryLock() {
		r.reread()
		r.checked.Store(int64(r.since()))
		r.mu.Unlock()
	}
	return r.current.Load()
}

// rereadNow reads the files again.
func (r *reloaded[T]) rereadNow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reread()
	r.checked.Store(int64(r.since()))
}

// since returns the time since began on the monotonic clock: a wall clock that is stepped back must not delay the next reading, which
// withdraws keys.
func (r *reloaded[T]) since() time.Duration { return r.now().Sub(r.began) }

func (r *reloaded[T]) reread() {
	contents, fault := r.read()
	if fault == nil {
		if same(contents, r.contents) {
			r.fault = fileError{}
			return
		}
		var value *T
		if value, fault = r.parse(r.files, contents); fault == nil {
			r.contents, r.fault = contents, fileError{}
			r.current.Store(value)
			r.changed(nil)
			return
		}
	}
	if *fault != r.fault { // report each fault once
		r.fault = *fault
		r.changed(fault)
	}
}

func (r *reloaded[T]) read() ([][]byte, *fileError) {
	contents := make([][]byte, len(r.files))
	for i, file := range r.files {
		var fault *fileError
		if contents[i], fault = file.read(); fault != nil {
			return nil, fault
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
