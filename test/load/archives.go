package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"dicom-qr-gateway/test/load/wire"
)

var errNotInstalled = errors.New("not installed")

// programs are those of DCMTK that retrieve.
var programs = map[string]string{"get": "getscu", "move": "movescu"}

// file returns a DICOM file with an image of the study.
func file(study string, image int) []byte {
	uid := fmt.Sprintf("%s.1.%d", study, image)
	text := func(group, element uint16, vr, value string) []byte {
		pad := byte(' ')
		if vr == "UI" {
			pad = 0
		}
		return wire.Element(group, element, vr, wire.Even(value, pad))
	}
	us := func(element, value uint16) []byte { return wire.Element(0x0028, element, "US", wire.Uint16(value)) }
	meta := slices.Concat(
		wire.LongElement(0x0002, 0x0001, "OB", 2), []byte{0, 1},
		text(0x0002, 0x0002, "UI", wire.CTImageStorage),
		text(0x0002, 0x0003, "UI", uid),
		text(0x0002, 0x0010, "UI", wire.ExplicitLittleEndian),
		text(0x0002, 0x0012, "UI", wire.ImplementationUID),
	)
	pixels := make([]byte, sliceLength)
	for i := range pixels {
		pixels[i] = byte((i + image) * 7 >> 3)
	}
	return slices.Concat(
		make([]byte, 128), []byte("DICM"),
		wire.Element(0x0002, 0x0000, "UL", binary.LittleEndian.AppendUint32(nil, uint32(len(meta)))), meta,
		text(0x0008, 0x0016, "UI", wire.CTImageStorage),
		text(0x0008, 0x0018, "UI", uid),
		text(0x0008, 0x0020, "DA", "20260102"),
		text(0x0008, 0x0030, "TM", "120000"),
		text(0x0008, 0x0050, "SH", "BENCH"),
		text(0x0008, 0x0060, "CS", "CT"),
		text(0x0010, 0x0010, "PN", "Synthetic^Patient"),
		text(0x0010, 0x0020, "LO", "BENCH"),
		text(0x0020, 0x000d, "UI", study),
		text(0x0020, 0x000e, "UI", study+".1"),
		text(0x0020, 0x0010, "SH", "1"),
		text(0x0020, 0x0011, "IS", "1"),
		text(0x0020, 0x0013, "IS", strconv.Itoa(image)),
		us(0x0002, 1),
		text(0x0028, 0x0004, "CS", "MONOCHROME2"),
		us(0x0010, 512), us(0x0011, 512), us(0x0100, 16), us(0x0101, 16), us(0x0102, 15), us(0x0103, 0),
		wire.LongElement(0x7fe0, 0x0010, "OW", sliceLength), pixels,
	)
}

// ports returns free ports: for DICOM, and for the two move destinations.
func (a *archive) ports() error {
	for _, port := range []*int{&a.port, &a.store, &a.dcmtk} {
		var err error
		if _, *port, err = freeAddress(); err != nil {
			return err
		}
	}
	return nil
}

// dcmqrscp starts dcmqrscp with the study.
func dcmqrscp(ctx context.Context, b *bench) (*archive, error) {
	path, err := exec.LookPath("dcmqrscp")
	if err != nil {
		return nil, fmt.Errorf("dcmqrscp is %w", errNotInstalled)
	}
	a := &archive{aeTitle: "QRSCP", study: imageStudy(slices500, sliceLength), first: 50 * time.Millisecond}
	if err := a.ports(); err != nil {
		return nil, err
	}
	storage := filepath.Join(b.dir, "qrscp")
	if err := os.Mkdir(storage, 0o700); err != nil {
		return nil, err
	}
	files := make([]string, slices500)
	for i := range files {
		files[i] = filepath.Join(storage, fmt.Sprintf("CT%d", i+1))
		if err := os.WriteFile(files[i], file(a.study, i+1), 0o600); err != nil {
			return nil, err
		}
	}
	if err := command(ctx, "dcmqridx", append([]string{storage}, files...)...); err != nil {
		return nil, err
	}
	config := filepath.Join(b.dir, "dcmqrscp.cfg")
	text := fmt.Sprintf(`NetworkTCPPort  = %d
MaxPDUSize      = 131072
MaxAssociations = 16
HostTable BEGIN
gateway = (%s, 127.0.0.1, %d)
dcmtk = (%s, 127.0.0.1, %d)
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
%s %s RW (200, 4096mb) ANY
AETable END
`, a.port, gatewayTitle, a.store, dcmtkTitle, a.dcmtk, a.aeTitle, storage)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := b.startProcess(ctx, "dcmqrscp", "127.0.0.1:"+strconv.Itoa(a.port), nil, path, "-c", config)
	if err != nil {
		return nil, err
	}
	return a, p.listening(ctx)
}

// orthancArchive starts Orthanc with the study.
func orthancArchive(ctx context.Context, b *bench) (*archive, error) {
	path, err := lookup("Orthanc")
	if err != nil {
		return nil, fmt.Errorf("the program Orthanc is %w", errNotInstalled)
	}
	a := &archive{aeTitle: "ORTHANC", study: imageStudy(slices500, sliceLength), first: 250 * time.Millisecond}
	if err := a.ports(); err != nil {
		return nil, err
	}
	address, port, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(b.dir, "orthanc-archive.json")
	text, err := json.Marshal(map[string]any{
		"StorageDirectory": filepath.Join(b.dir, "orthanc-archive"), "IndexDirectory": filepath.Join(b.dir, "orthanc-archive"), "Plugins": []string{},
		"HttpPort": port, "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomServerEnabled": true,
		"DicomAet": a.aeTitle, "DicomPort": a.port, "DicomCheckCalledAet": false, "DicomAlwaysAllowGet": true, "DicomAlwaysAllowFind": true,
		"DicomAlwaysAllowMove": true,
		"DicomModalities": map[string]any{
			"gateway": []any{gatewayTitle, "127.0.0.1", a.store}, "dcmtk": []any{dcmtkTitle, "127.0.0.1", a.dcmtk},
		},
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	p, err := b.startProcess(ctx, "Orthanc", address, nil, path, config)
	if err != nil {
		return nil, err
	}
	if err := p.listening(ctx); err != nil {
		return nil, err
	}
	for i := range slices500 {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/instances", bytes.NewReader(file(a.study, i+1)))
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("storing an image: status %d", response.StatusCode)
		}
	}
	return a, nil
}

// dcmtkRetrievals measures once how long getscu, and movescu to a storescp, need for the study. The programs are not installed, or the PACS is
// the recorded one: no result.
func (b *bench) dcmtkRetrievals(ctx context.Context, a *archive) (map[string]time.Duration, error) {
	took := map[string]time.Duration{}
	if a.store == 0 {
		return took, nil
	}
	for way, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		dir := filepath.Join(b.dir, program)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		args := []string{"-S", "-aec", a.aeTitle, "-aet", dcmtkTitle, "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + a.study}
		if way == "get" {
			args = append(args, "+B", "-od", dir)
		} else {
			args = append(args, "-aem", dcmtkTitle)
			address := "127.0.0.1:" + strconv.Itoa(a.dcmtk)
			p, err := b.startProcess(ctx, "storescp", address, nil, "storescp", "-od", dir, "+B", "-aet", dcmtkTitle, strconv.Itoa(a.dcmtk))
			if err != nil {
				return nil, err
			}
			if err := p.listening(ctx); err != nil {
				return nil, err
			}
		}
		begin := time.Now()
		if err := command(ctx, path, append(args, "127.0.0.1", strconv.Itoa(a.port))...); err != nil {
			return nil, err
		}
		took[way] = time.Since(begin)
		fmt.Fprintf(os.Stderr, "   %-27s %8v\n", program, short(took[way]))
		received, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		if len(received) != slices500 {
			return nil, fmt.Errorf("%s received %d images", program, len(received))
		}
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return took, nil
}
