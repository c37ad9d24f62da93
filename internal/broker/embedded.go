package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// memoryStreams is what JetStream may hold of streams in memory: consumers that follow a stream for a moment.
const memoryStreams = 32 << 20

// embedded is a JetStream server in this process. It listens nowhere.
type embedded struct {
	server *natsserver.Server
	lock   *os.File
}

// start starts a server with its files in the directory.
func start(s *Settings, log zerolog.Logger) (*embedded, error) {
	lock, err := lockDirectory(s.Dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{lock: lock}
	if err := checkKey(s.Dir, s.Key); err != nil {
		return nil, errors.Join(err, e.unlock())
	}
	lines := &serverLog{log: log}
	e.server, err = natsserver.NewServer(&natsserver.Options{
		ServerName:             "dicom-qr-gateway",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		JetStreamMaxMemory:     memoryStreams,
		JetStreamKey:           string(s.Key),
		JetStreamCipher:        natsserver.AES,
		DisableJetStreamBanner: true,
		StoreDir:               s.Dir,
		// What JetStream has acknowledged survives a power failure.
		SyncAlways: true,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start JetStream: %w", err), e.unlock())
	}
	e.server.SetLoggerV2(lines, false, false, false)
	e.server.Start() // returns when it runs: it listens nowhere
	if fatal := lines.fatal.Load(); fatal != nil || !e.server.JetStreamEnabled() {
		err := errOff
		if fatal != nil {
			err = errors.New(*fatal)
		}
		return nil, errors.Join(fmt.Errorf("start JetStream: %w", err), e.stop(context.Background()))
	}
	return e, nil
}

// settle waits until the server has done what the connection has asked for: a stream that it is creating while it ends would stay open.
func (e *embedded) settle(ctx context.Context, conn *nats.Conn) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_ = conn.FlushWithContext(ctx)
	for ctx.Err() == nil {
		if info, err := e.server.Jsz(nil); err != nil || info.API.Inflight == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// stop ends the server and waits for it until ctx is done.
func (e *embedded) stop(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}()
	select {
	case <-ended:
		return e.unlock()
	case <-ctx.Done():
		return fmt.Errorf("stop JetStream: %w", ctx.Err()) // the lock ends with the process
	}
}

func (e *embedded) unlock() error { return e.lock.Close() }

// LockedError reports that another process uses the directory.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string { return e.Dir + ": another process uses this directory" }

// lockDirectory returns the locked file that marks the directory as used. The system unlocks it when the process ends, however it ends.
func lockDirectory(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // The operator names the directory.
	if err != nil {
		return nil, err
	}
	locked, err := tryLock(file)
	if err == nil && !locked {
		err = &LockedError{dir}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// serverLog writes the log of the server. It holds subjects, which carry no patient data, and no contents of messages.
type serverLog struct {
	log   zerolog.Logger
	fatal atomic.Pointer[string]
}

func (l *serverLog) line(event *zerolog.Event, format string, v []any) {
	event.Str("component", "nats").Msg(strings.TrimSpace(fmt.Sprintf(format, v...)))
}

// Noticef implements natsserver.Logger, as the other methods do.
func (l *serverLog) Noticef(format string, v ...any) { l.line(l.log.Debug(), format, v) }

func (l *serverLog) Warnf(format string, v ...any) { l.line(l.log.Warn(), format, v) }

func (l *serverLog) Errorf(format string, v ...any) { l.line(l.log.Error(), format, v) }

// Fatalf keeps the reason: the server does not run then, and the process is not its to end.
func (l *serverLog) Fatalf(format string, v ...any) {
	reason := fmt.Sprintf(format, v...)
	l.fatal.CompareAndSwap(nil, &reason)
}

func (l *serverLog) Debugf(string, ...any) {}

func (l *serverLog) Tracef(string, ...any) {}
