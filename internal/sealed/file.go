// Package sealed keeps blocks of bytes in a temporary file that only this process can read: they are encrypted with a key that
// lives in memory only, and the file has no name once it is open, so that the system frees it when the process ends, however it ends.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxBlock is the size of the largest block in the file, in bytes.
	MaxBlock = 128 << 10
	// Overhead is how many bytes of a block the authentication tag takes.
	Overhead = 16
	// minBlock is the size of the smallest block. It is a page, so that each write covers whole pages.
	minBlock = 4 << 10
	// retryAfter is how long a file whose disk was full takes no blocks.
	retryAfter = time.Second
)

// FullError reports that a file takes no more blocks. Cause says why the system refused a write; it is nil if the file is at its limit.
type FullError struct{ Cause error }

func (e *FullError) Error() string {
	if e.Cause == nil {
		return "the file is at its limit"
	}
	return "cannot write to the file: " + e.Cause.Error()
}

func (e *FullError) Unwrap() error { return e.Cause }

// errDamaged reports that a block is not what was written.
var errDamaged = errors.New("a block of a temporary file is damaged")

// Block is where the bytes of one Put are.
type Block struct {
	offset int64
	nonce  uint64
	length int32 // of the bytes, without the tag
	order  uint8 // the size in the file is minBlock << order
}

// Len returns how many bytes the block holds.
func (b Block) Len() int { return int(b.length) }

// Size returns how many bytes of the limit the block takes.
func (b Block) Size() int64 { return minBlock << b.order }

// Size returns how many bytes of the limit a block of n bytes takes.
func Size(n int) int64 { return minBlock << orderOf(n+Overhead) }

// File is a temporary file of encrypted blocks. It is safe for concurrent use.
type File struct {
	file  *os.File
	name  string // to remove at Close; empty where an open file can be removed
	seal  cipher.AEAD
	limit int64
	nonce atomic.Uint64
	used  atomic.Int64
	full  atomic.Int64 // when the disk was full, in Unix nanoseconds; 0: it is not

	mu      sync.Mutex
	blocks  buddies
	refusal error // of the disk, when it was full
	closed  bool
}

// Create removes the files that earlier processes have left in the directory, and creates one that takes blocks of limit bytes in
// all. The name of the file begins with the prefix. Several processes may share the directory.
func Create(dir, prefix string, limit int64) (*File, error) {
	removeLeft(dir, prefix)
	file, err := os.CreateTemp(dir, prefix+"*"+suffix) // mode 0600
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	clear(key)
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	f := &File{file: file, seal: seal, limit: limit}
	if err := os.Remove(file.Name()); err != nil && !errors.Is(err, os.ErrNotExist) { // Windows removes no open file
		f.name = file.Name()
	}
	return f, nil
}

const suffix = ".tmp"

// removeLeft removes the files of earlier processes. Those of running processes have no name any more, or cannot be removed. A file
// that another process is just creating may lose its name here, which that process is about to do itself.
func removeLeft(dir, prefix string) {
	left, _ := filepath.Glob(filepath.Join(quoteGlob(dir), prefix+"*"+suffix))
	for _, name := range left {
		_ = os.Remove(name)
	}
}

// quoteGlob returns a pattern that matches the path only.
func quoteGlob(path string) string {
	var quoted []byte
	for i := range len(path) {
		switch c := path[i]; c {
		case '*', '?', '[':
			quoted = append(quoted, '[', c, ']')
		default:
			quoted = append(quoted, c)
		}
	}
	return string(quoted)
}

// Room reports whether Put is worth trying: the file is below its limit, and its disk was not full a moment ago.
func (f *File) Room() bool {
	if f == nil || f.used.Load()+MaxBlock > f.limit {
		return false
	}
	full := f.full.Load()
	return full == 0 || time.Now().UnixNano()-full > int64(retryAfter)
}

// Used returns how many bytes of the limit are taken.
func (f *File) Used() int64 {
	if f == nil {
		return 0
	}
	return f.used.Load()
}

// Put writes the bytes to the file, at most MaxBlock-Overhead. It encrypts them in place: their capacity must exceed their length by
// Overhead, and they are lost if err is nil. Otherwise they are as before, and err is a *FullError.
func (f *File) Put(data []byte) (Block, error) {
	b, err := f.reserve(len(data))
	if err != nil {
		return Block{}, err
	}
	b.nonce = f.nonce.Add(1)
	var nonce [12]byte
	binary.LittleEndian.PutUint64(nonce[:], b.nonce)
	sealed := f.seal.Seal(data[:0], nonce[:], data, nil)
	if _, err = f.file.WriteAt(sealed, b.offset); err == nil {
		if f.full.Load() != 0 {
			f.full.Store(0)
		}
		return b, nil
	}
	f.Free(b)
	f.refuse(withoutPath(err))
	if _, opened := f.seal.Open(sealed[:0], nonce[:], sealed, nil); opened != nil {
		return Block{}, fmt.Errorf("%w: %w", errDamaged, opened)
	}
	return Block{}, &FullError{Cause: withoutPath(err)}
}

func (f *File) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusal = err
	f.full.Store(time.Now().UnixNano())
}

// Refusal returns why the disk takes no more; nil if it does, as far as is known.
func (f *File) Refusal() error {
	if f == nil || f.full.Load() == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refusal
}

func (f *File) reserve(length int) (Block, error) {
	order := orderOf(length + Overhead)
	b := Block{length: int32(length), order: order}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return b, &FullError{Cause: os.ErrClosed}
	}
	if f.used.Load()+b.Size() > f.limit {
		return b, &FullError{}
	}
	b.offset = f.blocks.take(order)
	f.used.Add(b.Size())
	return b, nil
}

// Get reads the bytes of a block into buffer, whose capacity must be b.Len()+Overhead or more.
func (f *File) Get(b Block, buffer []byte) ([]byte, error) {
	sealed := buffer[:b.Len()+Overhead]
	if _, err := f.file.ReadAt(sealed, b.offset); err != nil {
		return nil, fmt.Errorf("read a temporary file: %w", withoutPath(err))
	}
	var nonce [12]byte
	binary.LittleEndian.PutUint64(nonce[:], b.nonce)
	data, err := f.seal.Open(sealed[:0], nonce[:], sealed, nil)
	if err != nil {
		return nil, errDamaged
	}
	return data, nil
}

// Free returns the space of a block. When none is in use, the file gives all of its space back to the system.
func (f *File) Free(b Block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocks.give(b.offset, b.order)
	if f.used.Add(-b.Size()) == 0 && !f.closed {
		f.blocks = buddies{}
		_ = f.file.Truncate(0) // the space is used again if this fails
	}
}

// Close closes and removes the file. Blocks cannot be read any more.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	err := f.file.Close()
	if f.name != "" {
		err = errors.Join(err, os.Remove(f.name))
	}
	return err
}

// withoutPath returns the reason of an error of the file system.
func withoutPath(err error) error {
	if failed, ok := errors.AsType[*os.PathError](err); ok {
		return failed.Err
	}
	return err
}
