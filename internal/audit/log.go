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

// maxPending limits the records that wait while the sink fails. Operations are refused meanwhile, so only alerts can reach it.
const maxPending = 1000

// ErrFull reports that a record was lost because too many records wait for the sink.
var ErrFull = errors.New("too many records wait for the sink")

// Log writes records to one sink: a file to which it appends, or a stream. Each record is one write, so that lines stay whole
// if other processes append to the file. A record that could not be written is kept, and is written before the next one. It is
// safe for concurrent use.
type Log struct {
	path string // "" of a stream

	mu      sync.Mutex
	out     io.Writer
	file    *os.File
	torn    bool // the last write may have left an incomplete line
	pending [][]byte
}

// Open returns a Log that appends to the file at path. If there is no file, it creates one that only its owner can read.
func Open(path string) (*Log, error) {
	l := &Log{path: path}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// To returns a Log that writes to a stream, to which others may write lines too.
func To(w io.Writer) *Log { return &Log{out: w} }

// Write appends r. If that fails, the record is kept for the next Write or Ready, unless the error is ErrFull.
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

// Ready writes the records that wait. It returns an error if the sink cannot take more, as far as that is known without writing.
func (l *Log) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flush()
}

// Reopen continues in the file that the path now names, because the old file may have been renamed. For a stream it does nothing.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		return nil
	}
	return l.open()
}

// Close writes the records that wait. If that fails, the error holds the number of lost records.
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

// reach makes sure that the open file is the one at the path: a deleted file accepts writes, but they are lost.
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
		_ = l.file.Close() // errors of writes were returned already
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
