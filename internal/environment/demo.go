package environment

import (
	"crypto/rand"
	"net/netip"
	"os"
	"path/filepath"

	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/pool"
)

// DefaultsOfDemo sets what the demonstration has unless the environment sets it: a cache for viewers, and, if there is a directory for
// temporary files, a file for the spool and a directory for batches, which end removes.
func (e *Environment) DefaultsOfDemo() (end func() error) {
	defaults := map[string]string{"CACHE_SIZE": "64MiB"}
	end = func() error { return nil }
	if dir, err := os.MkdirTemp("", "dicom-qr-gateway-*"); err == nil {
		defaults["SPOOL_DIR"] = os.TempDir()
		end = func() error { return os.RemoveAll(dir) }
		key := filepath.Join(dir, "key")
		if e.variables["NATS_URL"] == "" && e.variables["JOBS_DIR"] == "" && os.WriteFile(key, []byte(rand.Text()+rand.Text()), 0o600) == nil {
			defaults["JOBS_DIR"], defaults["JOBS_KEY_FILE"] = dir, key
		}
	}
	for name, value := range defaults {
		if e.variables[name] == "" {
			e.variables[name] = value
		}
	}
	return end
}

// NameDemo makes the two PACS of the demonstration, which are at these addresses, named PACS.
func (s *Settings) NameDemo(addressA, addressB string) error {
	for _, one := range []struct{ name, description, aeTitle, address string }{
		{"orthanca", "Demonstration archive with synthetic studies", demo.AETitleA, addressA},
		{"orthancb", "Demonstration destination, empty at first", demo.AETitleB, addressB},
	} {
		at, err := netip.ParseAddrPort(one.address)
		if err != nil {
			return err
		}
		peer := s.NamedPACS(one.name, one.description)
		peer.Host, peer.Port = at.Addr().String(), int(at.Port())
		peer.CalledAETitle, peer.CallingAETitle = one.aeTitle, "GATEWAY"
		peer.Settings.Profile = pool.Profile{
			Known: true, ImageLevelFind: true, UIDLists: true,
			StudyKeys: pool.StudyKeys("ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
		}
		s.PACS().Include(peer)
	}
	return nil
}
