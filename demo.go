package main

import (
	"io"
	"net/netip"

	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/environment"
	"dicom-qr-gateway/internal/pool"
)

// startDemo starts the two PACS of the demonstration, gives them names, and writes requests to try.
func startDemo(settings *environment.Settings, stdout io.Writer, baseURL string) (stop func() error, err error) {
	pacs, err := demo.Start(settings.Demo.AddressA, settings.Demo.AddressB)
	if err != nil {
		return nil, err
	}
	pacs.SetDelay(settings.Demo.Delay.Duration())
	for _, one := range []struct{ name, description, aeTitle, address string }{
		{"orthanca", "Demonstration archive with synthetic studies", demo.AETitleA, pacs.A.Addr()},
		{"orthancb", "Demonstration destination, empty at first", demo.AETitleB, pacs.B.Addr()},
	} {
		at, err := netip.ParseAddrPort(one.address)
		if err != nil {
			_ = pacs.Close()
			return nil, err
		}
		peer := settings.NamedPACS(one.name, one.description)
		peer.Host, peer.Port = at.Addr().String(), int(at.Port())
		peer.CalledAETitle, peer.CallingAETitle = one.aeTitle, "GATEWAY"
		peer.Settings.Profile = demoProfile()
		settings.PACS().Include(peer)
	}
	if err := pacs.Describe(stdout, baseURL); err != nil {
		_ = pacs.Close()
		return nil, err
	}
	return pacs.Close, nil
}

// demoProfile returns what the PACS of the demonstration support.
func demoProfile() pool.Profile {
	return pool.Profile{
		Known: true, ImageLevelFind: true, UIDLists: true,
		StudyKeys: pool.StudyKeys("ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
	}
}
