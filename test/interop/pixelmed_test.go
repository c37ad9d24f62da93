//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dicom-qr-gateway/test/rig"
)

// pixelMed is the name of the source. Its server answers C-CANCEL by ending the operation's association, or not at all, and every
// match with FF01.
const pixelMed = "PixelMed"

// jars are the archives of PixelMed's server and of what it needs, which Debian's libpixelmed-java depends on. jmdns.jar is not
// among them, so that the server announces itself to no network.
var jars = []string{"pixelmed.jar", "hsqldb.jar", "vecmath.jar", "commons-codec.jar", "javax.json.jar"}

// javaArchives is where Debian installs them.
const javaArchives = "/usr/share/java"

// classPath returns the class path of PixelMed's server, or an error that names the package that is missing.
func classPath() (string, error) {
	paths := make([]string, 0, len(jars))
	for _, jar := range jars {
		path := filepath.Join(javaArchives, jar)
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("the interoperability tests need the Debian package libpixelmed-java: %w", err)
		}
		paths = append(paths, path)
	}
	return strings.Join(paths, ":"), nil
}

// startPixelMed runs PixelMed's server with an empty archive. It also serves HTTP, on httpPort.
func startPixelMed(dir string, s source, httpPort int, destinations map[string]int) (*rig.Process, error) {
	java, err := lookup("java")
	path, missing := classPath()
	if err := errors.Join(err, missing); err != nil {
		return nil, err
	}
	images := filepath.Join(dir, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		return nil, err
	}
	var properties strings.Builder
	set := func(name string, value any) { fmt.Fprintf(&properties, "%s=%v\n", name, value) }
	set("Dicom.ListeningPort", s.port)
	set("Dicom.CalledAETitle", s.aeTitle)
	set("Dicom.CallingAETitle", s.aeTitle)
	set("Dicom.PrimaryDeviceType", "ARCHIVE")
	names := make([]string, 0, len(destinations))
	for aeTitle, port := range destinations {
		names = append(names, aeTitle)
		set("Dicom.RemoteAEs."+aeTitle+".CalledAETitle", aeTitle)
		set("Dicom.RemoteAEs."+aeTitle+".HostNameOrIPAddress", "127.0.0.1")
		set("Dicom.RemoteAEs."+aeTitle+".Port", port)
	}
	set("Dicom.RemoteAEs", strings.Join(names, " "))
	set("Application.SavedImagesFolderName", images)
	set("Application.DatabaseFileName", filepath.Join(dir, "database"))
	set("WebServer.ListeningPort", httpPort)
	set("WebServer.RootURL", "http://"+address(httpPort)+"/")
	file := filepath.Join(dir, "pixelmed.properties")
	if err := os.WriteFile(file, []byte(properties.String()), 0o600); err != nil {
		return nil, err
	}
	p, err := rig.Start(rig.Command{Path: java, Dir: dir, Args: []string{
		"-Djava.awt.headless=true", "-Xmx512m", "-cp", path, "com.pixelmed.server.DicomAndWebStorageServer", file,
	}})
	if err != nil {
		return nil, err
	}
	return p, p.Ready(listening(s.port))
}
