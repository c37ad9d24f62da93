package environment

import (
	"fmt"
	"strings"
)

// Summary says that the settings are valid, and lists the storage SCP and the named PACS, a line each.
func (s *Settings) Summary() string {
	var b strings.Builder
	b.WriteString("The settings are valid.\n")
	if scp, on := s.StorageSCP(); on {
		fmt.Fprintf(&b, "Storage SCP: %s at %s\n", strings.Join(scp.AETitles, ", "), s.StoreListenAddr)
	}
	for _, peer := range s.PACS().List() {
		fmt.Fprintf(&b, "PACS %s: %s at %s, called by %s", peer.Name, peer.CalledAETitle, peer.Address(), peer.CallingAETitle)
		if peer.TLS {
			b.WriteString(" with TLS")
		}
		if !peer.Profile().Known {
			b.WriteString(", without a profile")
		}
		b.WriteString("\n")
	}
	return b.String()
}
