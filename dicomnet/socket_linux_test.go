package dicomnet_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// dropIncoming makes the peer's kernel drop everything that arrives, as if a firewall had forgotten
// the connection.
func dropIncoming(p *dicomtest.ScriptedPeer) {
	raw, err := p.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		p.Failf("%w", err)
	}
	_ = raw.Control(func(fd uintptr) {
		nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
	})
	if err != nil {
		p.Failf("%w", err)
	}
}

func TestFindDistinguishesABrokenPathFromASlowPeer(t *testing.T) {
	for name, slow := range map[string]bool{"broken path": false, "slow peer": true} {
		t.Run(name, func(t *testing.T) {
			idle, done := make(chan struct{}), make(chan struct{})
			address := listenOnLoopback(t, func(p *dicomtest.ScriptedPeer) {
				p.Accept()
				serveFind(p, dicomnet.StatusPending, dicomnet.StatusSuccess)
				if !slow {
					dropIncoming(p)
				}
				close(idle)
				<-done
			})
			cfg := config()
			cfg.Timeouts.DIMSE = 800 * time.Millisecond
			a, err := dicomnet.Dial(t.Context(), address, cfg)
			require.NoError(t, err)
			require.NoError(t, runFind(t.Context(), a).err)
			<-idle
			a.Rebind(context.Background())
			err = runFind(t.Context(), a).err
			close(done)
			if slow {
				requireTimeout(t, err, dicomnet.TimerDIMSE)
				return
			}
			require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
			requireStep(t, err, dicomnet.StepFind)
		})
	}
}
