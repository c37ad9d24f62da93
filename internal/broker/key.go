package broker

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// MinKey is the least number of bytes of a key.
const MinKey = 32

// KeyError reports that the files in a directory were not encrypted with the key.
type KeyError struct {
	Dir string
	// Unknown: the directory holds files of JetStream, but nothing that says with which key.
	Unknown bool
}

func (e *KeyError) Error() string {
	if e.Unknown {
		return e.Dir + ": the directory holds files of JetStream without " + keyCheck + ", so that the key cannot be checked"
	}
	return e.Dir + ": the files in this directory were encrypted with another key"
}

// keyCheck is the file by which a key is recognized: a digest that is made with it.
const keyCheck = "key.check"

// checkKey reports whether the files in the directory were encrypted with the key. JetStream itself starts with a wrong key: it leaves
// out what it cannot decrypt. For an empty directory it notes the key.
func checkKey(dir string, key []byte) error {
	path := filepath.Join(dir, keyCheck)
	digest := hmac.New(sha256.New, key)
	digest.Write([]byte("dicom-qr-gateway JOBS_DIR"))
	want := []byte(hex.EncodeToString(digest.Sum(nil)))
	noted, err := os.ReadFile(path) //nolint:gosec // The operator names the directory.
	switch {
	case err == nil && hmac.Equal(bytes.TrimSpace(noted), want):
		return nil
	case err == nil:
		return &KeyError{Dir: dir}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, natsserver.JetStreamStoreDir)); err == nil {
		return &KeyError{Dir: dir, Unknown: true}
	}
	return writeSynced(path, append(want, '\n'))
}

// writeSynced writes a file that exists as a whole or not at all, even after a power failure.
func writeSynced(path string, contents []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(contents)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncDirectory(filepath.Dir(path))
}
