package audit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// sink is where the lines of a Log go. Its methods may block. One goroutine uses it at a time.
type sink struct {
	path   string // "" of a stream
	sync   bool   // commit syncs the file, if it is a regular one
	onTorn func() // may be nil

	out  io.Writer
	file *os.File // nil of a stream
	torn bool     // the last line may be incomplete
	// regular is false of a pipe or a device, which has no last line and cannot be synced.
	regular bool
}

// shared is a stream with other writers of lines. It ends lines that are torn itself.
type shared interface {
	// Line calls write. No other line is written meanwhile.
	Line(write func(w io.Writer) error) error
}

// append writes a line with one write.
func (s *sink) append(line []byte) error {
	if s.torn {
		line = append([]byte{'\n'}, line...)
	}
	return s.write(line)
}

// line calls write with a function that writes the parts of a line.
func (s *sink) line(write func(part func([]byte) error) error) error {
	if out, ok := s.out.(shared); ok {
		return out.Line(func(w io.Writer) error {
			return write(func(part []byte) error {
				_, err := w.Write(part)
				return err
			})
		})
	}
	if s.torn {
		if err := s.write([]byte{'\n'}); err != nil {
			return err
		}
	}
	return write(s.write)
}

func (s *sink) write(b []byte) error {
	n, err := s.out.Write(b)
	if _, ok := s.out.(shared); n > 0 && !ok {
		s.torn = !bytes.HasSuffix(b[:n], []byte{'\n'})
	}
	return err
}

// commit makes sure that the lines survive the death of the machine, if that is wanted.
func (s *sink) commit() error {
	if !s.sync || !s.regular {
		return nil
	}
	return s.file.Sync()
}

// reach makes sure that the open file is the one at the path: a deleted file accepts writes, but they are lost.
func (s *sink) reach() error {
	if s.path == "" {
		return nil
	}
	if s.file != nil {
		named, err := os.Stat(s.path)
		if err == nil {
			if own, err := s.file.Stat(); err == nil && os.SameFile(named, own) {
				return nil
			}
		}
	}
	return s.open()
}

// reopen opens the file that the path now names.
func (s *sink) reopen() error {
	if s.path == "" {
		return nil
	}
	return s.open()
}

func (s *sink) open() error {
	file, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	status, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	regular := status.Mode().IsRegular()
	if s.sync && regular && status.Size() == 0 {
		if err := syncDirectory(s.path); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	if s.file != nil {
		_ = s.file.Close() // errors of writes were returned already
	}
	s.file, s.out, s.regular = file, file, regular
	if !regular {
		return nil
	}
	if s.torn = endsMidLine(s.path, status); s.torn && s.onTorn != nil {
		s.onTorn()
	}
	return nil
}

func (s *sink) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file, s.out = nil, nil
	return err
}

// endsMidLine reports whether the file at path may end in the middle of a line. A file that cannot be read may.
func endsMidLine(path string, status os.FileInfo) bool {
	if status.Size() == 0 {
		return false
	}
	file, err := os.Open(path) //nolint:gosec // the file of the setting
	if err != nil {
		return true
	}
	defer func() { _ = file.Close() }()
	var last [1]byte
	if _, err := file.ReadAt(last[:], status.Size()-1); err != nil {
		return true
	}
	return last[0] != '\n'
}

// syncDirectory makes sure that the name of a new file survives the death of the machine.
func syncDirectory(path string) error {
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
