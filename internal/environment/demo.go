package environment

import (
	"errors"
	"net/netip"
	"os"

	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/pool"
)

// DefaultsOfDemo sets what the demonstration has unless the environment sets it: a cache for viewers, and a file for the spool if there is
// a directory for temporary files.
func (e *Environment) DefaultsOfDemo() {
	defaults := map[string]string{"CACHE_SIZE": "64MiB"}
	if file, err := os.CreateTemp("", "dicom-qr-gateway-*"); err == nil {
		if errors.Join(file.Close(), os.Remove(file.Name())) == nil {
			defaults["SPOOL_DIR"] = os.TempDir()
		}
	}
	for name, value := range defaults {
		if e.variables[name] == "" {
			e.variables[name] = value
		}
	}
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
