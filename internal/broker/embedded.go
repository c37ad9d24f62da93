package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// memoryStreams is what JetStream may hold of streams in memory: consumers that follow a stream for a moment.
const memoryStreams = 32 << 20

// maxStore is more than any disk has: what a disk has when the server starts says nothing about later.
const maxStore = 1 << 50

// embedded is a JetStream server in this process. It listens nowhere.
type embedded struct {
	dir  string
	key  string
	log  zerolog.Logger
	lock *os.File

	mu     sync.Mutex
	server *natsserver.Server // nil while it starts again, or cannot
	// fault returns why the server stores nothing any more until it starts again; nil if it does.
	fault func(*natsserver.Server) error
}

// start starts a server with its files in the directory.
func start(s *Settings, log zerolog.Logger) (*embedded, error) {
	lock, err := lockDirectory(s.Dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{dir: s.Dir, key: string(s.Key), log: log, lock: lock, fault: writeError}
	if err = checkKey(s.Dir, s.Key); err == nil {
		err = e.run()
	}
	if err != nil {
		return nil, errors.Join(err, e.unlock())
	}
	return e, nil
}

// run starts the server.
func (e *embedded) run() error {
	server, err := natsserver.NewServer(&natsserver.Options{
		ServerName:             "dicom-qr-gateway",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		JetStreamMaxMemory:     memoryStreams,
		JetStreamMaxStore:      maxStore,
		JetStreamKey:           e.key,
		JetStreamCipher:        natsserver.AES,
		DisableJetStreamBanner: true,
		StoreDir:               e.dir,
		// What JetStream has acknowledged survives a power failure.
		SyncAlways: true,
	})
	if err != nil {
		return fmt.Errorf("start JetStream: %w", err)
	}
	lines := &serverLog{log: e.log}
	server.SetLoggerV2(lines, false, false, false)
	server.Start() // returns when it runs: it listens nowhere
	if fatal := lines.fatal.Load(); fatal != nil || !server.JetStreamEnabled() {
		err := errOff
		if fatal != nil {
			err = errors.New(*fatal)
		}
		server.Shutdown()
		server.WaitForShutdown()
		return fmt.Errorf("start JetStream: %w", err)
	}
	for _, fault := range health(server) {
		e.log.Error().Str("reason", fault.Error).Msg("JetStream left out what it cannot read")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = server
	return nil
}

// health returns what is wrong with streams.
func health(server *natsserver.Server) []natsserver.HealthzError {
	return server.Healthz(&natsserver.HealthzOptions{Details: true}).Errors
}

// InProcessConn implements nats.InProcessConnProvider: a connection to the server that runs now.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil, errOff
	}
	return e.server.InProcessConn()
}

// running returns the server; nil: none runs.
func (e *embedded) running() *natsserver.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server
}

// writeError returns the error of a write. A stream that had one, because the disk was full, takes nothing until the server starts again.
func writeError(server *natsserver.Server) error {
	for _, fault := range health(server) {
		if strings.Contains(fault.Error, "write error") {
			return errors.New(fault.Error)
		}
	}
	return nil
}

// heal starts the server again if it stores nothing any more and the disk has room. It returns why the server stores nothing now.
func (e *embedded) heal() error {
	e.mu.Lock()
	server, check := e.server, e.fault
	e.mu.Unlock()
	if server != nil {
		fault := check(server)
		if fault == nil {
			return nil
		}
		if tryWrite(e.dir) != nil {
			return fault
		}
		e.mu.Lock()
		e.server = nil
		e.mu.Unlock()
		e.log.Warn().Str("reason", fault.Error()).Msg("JetStream starts again: it could not write, and the disk has room now")
		server.Shutdown()
		server.WaitForShutdown()
	}
	return e.run()
}

// tryWrite reports whether the directory takes a file of a size that makes a new start worth while.
func tryWrite(dir string) error {
	const size = 4 << 20
	file, err := os.CreateTemp(dir, "room*.tmp")
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, size))
	return errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
}

// settle waits until the server has done what the connection has asked for: a stream that it is creating while it ends would stay open.
func (e *embedded) settle(ctx context.Context, conn *nats.Conn) {
	server := e.running()
	if server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_ = conn.FlushWithContext(ctx)
	for ctx.Err() == nil {
		if info, err := server.Jsz(nil); err != nil || info.API.Inflight == 0 {
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
		if server := e.running(); server != nil {
			server.Shutdown()
			server.WaitForShutdown()
		}
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

// ending is how long a process that was killed, and whose successor starts already, may need to end.
const ending = 2 * time.Second

// lockDirectory returns the locked file that marks the directory as used. The system unlocks it when the process ends, however it ends.
func lockDirectory(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // The operator names the directory.
	if err != nil {
		return nil, err
	}
	locked, err := tryLock(file)
	for until := time.Now().Add(ending); err == nil && !locked && time.Now().Before(until); {
		time.Sleep(ending / 100)
		locked, err = tryLock(file)
	}
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
