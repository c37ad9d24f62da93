package dicomnet_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

func TestOperationWithADoneContextSendsNothing(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) { p.Release() }, func(t *testing.T, a *dicomnet.Association) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, a.Echo(ctx), context.Canceled)
		require.ErrorIs(t, runFind(ctx, a).err, context.Canceled)
		require.True(t, a.Usable())
	})
}

func TestSecondOperationInsideTheFirstIsRefused(t *testing.T) {
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")),
			dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		for range a.Find(t.Context(), dicomnet.StudyRoot, query()) {
			var invalid *dicomnet.ConfigError
			require.ErrorAs(t, a.Echo(t.Context()), &invalid)
		}
	})
}

func TestMessageIDsCountUpAndSkipZero(t *testing.T) {
	if testing.Short() {
		return
	}
	const turns = 65537
	var first, last uint16
	withAssociation(t, func(p *dicomtest.ScriptedPeer) {
		for range turns {
			rq := p.ReadRequest(dicomnet.CEchoRQ)
			if first == 0 {
				first = rq.Command.MessageID
			}
			if last = rq.Command.MessageID; last == 0 {
				p.Failf("message ID 0")
			}
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		}
		p.Release()
	}, func(t *testing.T, a *dicomnet.Association) {
		for range turns {
			require.NoError(t, a.Echo(t.Context()))
		}
	})
	require.EqualValues(t, 1, first)
	require.EqualValues(t, 2, last)
}

func TestMessageIDsComeFromTheConfigurationUnlessOneIsSet(t *testing.T) {
	ids := []uint16{700, 65535}
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.Accept()
		for _, want := range []uint16{700, 31, 65535} {
			rq := p.ReadRequest(dicomnet.CEchoRQ)
			assert.Equal(t, want, rq.Command.MessageID)
			p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		}
		p.Release()
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.MessageID = func() uint16 {
			id := ids[0]
			ids = ids[1:]
			return id
		}
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.NoError(t, a.Echo(t.Context()))
		a.SetMessageID(31)
		require.NoError(t, a.Echo(t.Context()))
		require.NoError(t, a.Echo(t.Context()))
		require.NoError(t, a.Close())
	})
}
