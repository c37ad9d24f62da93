//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// orthanc is a running Orthanc, a source and a move destination.
type orthanc struct {
	source
	httpPort int
}

// startOrthanc runs an empty Orthanc; more is added to its configuration.
func startOrthanc(dir string, o orthanc, destinations map[string]int, more map[string]any) (*rig.Process, error) {
	path, err := lookup("Orthanc")
	if err != nil {
		return nil, err
	}
	modalities := map[string][]any{}
	for aeTitle, port := range destinations {
		modalities[aeTitle] = []any{aeTitle, "127.0.0.1", port}
	}
	settings := map[string]any{
		"Name": o.aeTitle, "StorageDirectory": filepath.Join(dir, "db"), "IndexDirectory": filepath.Join(dir, "db"),
		"Plugins":  []string{},
		"HttpPort": o.httpPort, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
		"DicomServerEnabled": true, "DicomAet": o.aeTitle, "DicomPort": o.port, "DicomCheckCalledAet": true,
		"DicomAlwaysAllowEcho": true, "DicomAlwaysAllowStore": true, "DicomAlwaysAllowFind": true,
		"DicomAlwaysAllowGet": true, "DicomAlwaysAllowMove": true,
		"DicomModalities": modalities, "DicomScuTimeout": 5, "DicomScpTimeout": 10,
		// The one character set that has all characters of the studies.
		"DefaultEncoding":  "Utf8",
		"SynchronousCMove": true, "OverwriteInstances": true, "DicomAssociationCloseDelay": 0,
	}
	maps.Copy(settings, more)
	config, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	p, err := rig.Start(rig.Command{Path: path, Dir: dir, Args: []string{file}})
	if err != nil {
		return nil, err
	}
	return p, p.Ready(func() error {
		if err := o.call(http.MethodGet, "/system", nil, nil); err != nil {
			return err
		}
		return listening(o.port)()
	})
}

// call sends a request to Orthanc's HTTP API.
func (o orthanc) call(method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, "http://"+address(o.httpPort)+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("orthanc %s %s: %s", method, path, response.Status)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (o orthanc) title() string { return o.aeTitle }

func (o orthanc) clear(t *testing.T) {
	t.Helper()
	var patients []string
	require.NoError(t, o.call(http.MethodGet, "/patients", nil, &patients))
	for _, id := range patients {
		require.NoError(t, o.call(http.MethodDelete, "/patients/"+id, nil, nil))
	}
}

func (o orthanc) received(t *testing.T) map[string][]string {
	t.Helper()
	var studies []string
	require.NoError(t, o.call(http.MethodGet, "/studies", nil, &studies))
	received := map[string][]string{}
	for _, id := range studies {
		var study struct{ MainDicomTags map[string]string }
		require.NoError(t, o.call(http.MethodGet, "/studies/"+id, nil, &study))
		var instances []struct{ MainDicomTags map[string]string }
		require.NoError(t, o.call(http.MethodGet, "/studies/"+id+"/instances", nil, &instances))
		for _, instance := range instances {
			uid := study.MainDicomTags["StudyInstanceUID"]
			received[uid] = append(received[uid], instance.MainDicomTags["SOPInstanceUID"])
		}
	}
	return received
}
