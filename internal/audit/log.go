package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// maxPending bounds the records that wait for a sink that fails. What is admitted
// while none wait is far less; only alerts could come to more.
const maxPending = 1000

// ErrFull tells that a record was lost, because too many wait already.
var ErrFull = errors.New("too many records wait for the sink")

// Log writes records to one sink: a file that it appends to, or a stream. Each
// record is one write, so lines are whole whoever else appends to the file. A
// record that could not be written is kept and goes first next time. It is safe
// for concurrent use.
type Log struct {
	path string // "" of a stream

	mu      sync.Mutex
	out     io.Writer
	file    *os.File
	torn    bool // the last write may have left a part of a line
	pending [][]byte
}

// Open makes a Log that appends to the file at path, which it makes where there
// is none, for its owner's eyes alone.
func Open(path string) (*Log, error) {
	l := &Log{path: path}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// To makes a Log that writes to a stream that others write lines to as well.
func To(w io.Writer) *Log { return &Log{out: w} }

// Write appends r. Where that fails the record is kept for the next Write or
// Ready, unless the error is ErrFull.
func (l *Log) Write(r *Record) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.flush()
	if err == nil {
		if err = l.append(line.Bytes()); err == nil {
			return nil
		}
	}
	if len(l.pending) == maxPending {
		return errors.Join(ErrFull, err)
	}
	l.pending = append(l.pending, line.Bytes())
	return err
}

// Ready writes what waits and tells whether the sink can take more, as far as
// that shows without writing.
func (l *Log) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flush()
}

// Reopen goes on in the file that the path now names: the old one may have been
// moved away. A stream stays what it is.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		return nil
	}
	return l.open()
}

// Close writes what waits and tells how many records are lost where that fails.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.flush()
	if err != nil {
		err = fmt.Errorf("%d records lost: %w", len(l.pending), err)
	}
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
		l.file, l.out = nil, nil
	}
	return err
}

func (l *Log) flush() error {
	if err := l.reach(); err != nil {
		return err
	}
	for len(l.pending) > 0 {
		if err := l.append(l.pending[0]); err != nil {
			return err
		}
		l.pending = l.pending[1:]
	}
	return nil
}

// reach makes sure that what is written goes to the file that has the name: one
// that was deleted takes every write, and keeps none.
func (l *Log) reach() error {
	if l.path == "" {
		return nil
	}
	if l.file != nil {
		named, err := os.Stat(l.path)
		if err == nil {
			if own, err := l.file.Stat(); err == nil && os.SameFile(named, own) {
				return nil
			}
		}
	}
	return l.open()
}

func (l *Log) open() error {
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if l.file != nil {
		_ = l.file.Close() // each write was heard of already
	}
	if status, err := file.Stat(); err == nil && status.Size() == 0 {
		l.torn = false
	}
	l.file, l.out = file, file
	return nil
}

func (l *Log) append(line []byte) error {
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.out.Write(line)
	if err == nil {
		l.torn = false
		return nil
	}
	l.torn = l.torn && n == 0 || n > 0
	return err
}
