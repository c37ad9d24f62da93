package dicomtest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
)

// WriteFile writes the instance as a DICOM file (PS3.10 section 7) in Explicit VR Little Endian, or in its compressed transfer
// syntax.
func (in *Instance) WriteFile(w io.Writer) error {
	ts := cmp.Or(in.TransferSyntax(), dataset.ExplicitVRLittleEndian)
	var meta builder
	meta.add(tag.FileMetaInformationVersion, []byte{0, 1})
	meta.text(tag.MediaStorageSOPClassUID, in.Text(tag.SOPClassUID))
	meta.text(tag.MediaStorageSOPInstanceUID, in.Text(tag.SOPInstanceUID))
	meta.text(tag.TransferSyntaxUID, string(ts))
	meta.text(tag.ImplementationClassUID, derivedUID("implementation", "dicomtest"))
	if err := dicom.Write(w, dicom.Dataset{Elements: meta.elements}); err != nil {
		return fmt.Errorf("file meta information: %w", err)
	}
	data, err := in.Encode(ts)
	if err != nil {
		return fmt.Errorf("data set: %w", err)
	}
	_, err = w.Write(data)
	return err
}

// WriteDir writes each instance to a file in dir, named by its SOP Instance UID, and returns the paths. It does not replace files.
func WriteDir(dir string, instances []*Instance) (paths []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for _, in := range instances {
		name := in.Text(tag.SOPInstanceUID) + ".dcm"
		if err := create(root, name, in); err != nil {
			return nil, err
		}
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths, nil
}

func create(root *os.Root, name string, in *Instance) (err error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return in.WriteFile(f)
}
