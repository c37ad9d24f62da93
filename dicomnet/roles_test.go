package dicomnet_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

const scStorage = "1.2.840.10008.5.1.4.1.1.7"

// getConfig proposes C-GET, CT and Secondary Capture storage, and to be the SCP of both.
func getConfig() dicomnet.Config {
	c := config()
	c.Contexts = nil
	for _, class := range []string{dicomnet.StudyRoot.Get, ctStorage, scStorage} {
		c.Contexts = append(c.Contexts, dicomnet.Context{AbstractSyntax: class, TransferSyntaxes: littleEndian})
	}
	c.Roles = []dicomnet.Role{{SOPClassUID: ctStorage, SCP: true}, {SOPClassUID: scStorage, SCP: true}}
	return c
}

// scps returns which of the contexts gave the requestor the role of SCP.
func scps(a *dicomnet.Association) []bool {
	var all []bool
	for _, pc := range a.Contexts() {
		all = append(all, pc.SCP)
	}
	return all
}

func TestRolesAreNegotiated(t *testing.T) {
	both := pdu.RoleSelection{SOPClassUID: ctStorage, SCP: true}
	for name, test := range map[string]struct {
		answers []pdu.RoleSelection
		refuse  bool // the context of CT
		want    []bool
	}{
		"accepted":                {[]pdu.RoleSelection{both, {SOPClassUID: scStorage, SCP: true}}, false, []bool{false, true, true}},
		"reduced":                 {[]pdu.RoleSelection{{SOPClassUID: ctStorage}, {SOPClassUID: scStorage, SCU: true}}, false, []bool{false, false, false}},
		"not answered":            {nil, false, []bool{false, false, false}},
		"one class":               {[]pdu.RoleSelection{both}, false, []bool{false, true, false}},
		"answered twice":          {[]pdu.RoleSelection{both, both, {SOPClassUID: ctStorage}}, false, []bool{false, true, false}},
		"not proposed":            {[]pdu.RoleSelection{{SOPClassUID: dicomnet.StudyRoot.Get, SCP: true}, {SOPClassUID: "1.2.3", SCP: true}}, false, []bool{false, false, false}},
		"context that is refused": {[]pdu.RoleSelection{both}, true, []bool{false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			script := &dicomtest.Script{Play: func(p *dicomtest.ScriptedPeer) {
				rq := p.ReadAssociateRQ()
				assert.Equal(t, []pdu.RoleSelection{both, {SOPClassUID: scStorage, SCP: true}}, rq.User.Roles)
				ac := p.AC("1.2.840.10008.1.2")
				ac.User.Roles = test.answers
				if test.refuse {
					ac.Contexts[1].Result = 3
				}
				p.SendPDU(ac)
				p.Release()
			}}
			cfg := getConfig()
			cfg.DialContext = script.DialContext
			a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
			require.NoError(t, err)
			assert.Equal(t, test.want, scps(a))
			require.NoError(t, a.Close())
			require.NoError(t, script.Err())
		})
	}
}

func TestServerGrantsRoles(t *testing.T) {
	for _, grant := range []bool{true, false} {
		s := server()
		s.Contexts = getConfig().Contexts[:2]
		if grant {
			s.AcceptSCP = func(class string) bool { return class == ctStorage }
		}
		withServer(t, s, func(t *testing.T, dial func() net.Conn) {
			cfg := getConfig()
			cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return dial(), nil }
			a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
			require.NoError(t, err)
			assert.Equal(t, []bool{false, grant, false}, scps(a), "Secondary Capture has no context")
			require.NoError(t, a.Close())
		})
	}
}

func TestInvalidRolesAreNotProposed(t *testing.T) {
	for name, roles := range map[string][]dicomnet.Role{
		"no role":    {{SOPClassUID: ctStorage}},
		"twice":      {{SOPClassUID: ctStorage, SCP: true}, {SOPClassUID: ctStorage, SCU: true}},
		"no context": {{SOPClassUID: "1.2.3", SCP: true}},
	} {
		cfg := getConfig()
		cfg.Roles = roles
		_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		var invalid *dicomnet.ConfigError
		assert.ErrorAs(t, err, &invalid, name)
	}
}
