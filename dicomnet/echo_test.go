package dicomnet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

func TestEchoReturnsTheStatus(t *testing.T) {
	for status, want := range map[dicomnet.Status]string{
		0x0000: "",
		0x0122: "echo: status 0122: refused: SOP class not supported",
		0x0211: "echo: status 0211: unrecognized operation",
	} {
		t.Run(status.String(), func(t *testing.T) {
			withAssociation(t, func(p *dicomtest.ScriptedPeer) {
				rq := p.ReadRequest(dicomnet.CEchoRQ)
				require.Equal(t, dicomnet.VerificationSOPClass, rq.Command.AffectedSOPClassUID)
				require.EqualValues(t, 1, rq.Command.MessageID)
				require.False(t, rq.Command.HasDataSet)
				p.SendMessage(dicomtest.Response(rq, status, nil))
				p.Release()
			}, func(t *testing.T, a *dicomnet.Association) {
				err := a.Echo(t.Context())
				require.True(t, a.Usable(), "a status ends the operation, not the association")
				if want == "" {
					require.NoError(t, err)
					return
				}
				require.EqualError(t, err, want)
				var failed *dicomnet.StatusError
				require.ErrorAs(t, err, &failed)
				require.Equal(t, status, failed.Status)
			})
		})
	}
}
