package broker_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dicom-qr-gateway/internal/broker"
	"dicom-qr-gateway/internal/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// published publishes a message in a stream, which it creates if there is none.
func published(t *testing.T, b *broker.Broker, text string) {
	t.Helper()
	_, err := b.JetStream().CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"s.>"}})
	require.NoError(t, err)
	_, err = b.JetStream().Publish(t.Context(), "s.a", []byte(text))
	require.NoError(t, err)
}

func last(t *testing.T, b *broker.Broker) string {
	t.Helper()
	s, err := b.JetStream().Stream(t.Context(), "s")
	require.NoError(t, err)
	message, err := s.GetLastMsgForSubject(t.Context(), "s.a")
	require.NoError(t, err)
	return string(message.Data)
}

func embedded(dir, key string) broker.Settings { return broker.Settings{Dir: dir, Key: []byte(key)} }

func TestTheEmbeddedServerKeepsItsStreamsEncrypted(t *testing.T) {
	const secret = "PATIENT-4711-IN-A-MESSAGE"
	dir := t.TempDir()
	b, err := broker.Open(t.Context(), embedded(dir, brokertest.Key), zerolog.Nop())
	require.NoError(t, err)
	assert.True(t, b.Embedded())
	require.NoError(t, b.Err())
	published(t, b, secret)
	require.NoError(t, b.Close(t.Context()))
	require.Error(t, b.Err())

	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		contents, err := os.ReadFile(path)
		assert.False(t, bytes.Contains(contents, []byte(secret)), path)
		files++
		return err
	}))
	assert.Greater(t, files, 2)

	again := brokertest.Embedded(t, dir)
	assert.Equal(t, secret, last(t, again))
}

func TestOpenRefusesAnotherKeyThanThatOfTheFiles(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Open(t.Context(), embedded(dir, brokertest.Key), zerolog.Nop())
	require.NoError(t, err)
	published(t, b, "kept")
	require.NoError(t, b.Close(t.Context()))

	_, err = broker.Open(t.Context(), embedded(dir, strings.Repeat("x", broker.MinKey)), zerolog.Nop())
	require.EqualError(t, err, dir+": the files in this directory were encrypted with another key")
	var wrong *broker.KeyError
	require.ErrorAs(t, err, &wrong)

	require.NoError(t, os.Remove(filepath.Join(dir, "key.check")))
	_, err = broker.Open(t.Context(), embedded(dir, brokertest.Key), zerolog.Nop())
	require.ErrorAs(t, err, &wrong)
	assert.True(t, wrong.Unknown)
}

func TestADirectoryBelongsToOneBroker(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Open(t.Context(), embedded(dir, brokertest.Key), zerolog.Nop())
	require.NoError(t, err)

	_, err = broker.Open(t.Context(), embedded(dir, brokertest.Key), zerolog.Nop())
	require.EqualError(t, err, dir+": another process uses this directory")
	var locked *broker.LockedError
	require.ErrorAs(t, err, &locked)

	require.NoError(t, b.Close(t.Context()))
	brokertest.Embedded(t, dir)
}

func TestOpenSaysWhyADirectoryCannotBeUsed(t *testing.T) {
	_, err := broker.Open(t.Context(), embedded(filepath.Join(t.TempDir(), "missing"), brokertest.Key), zerolog.Nop())
	require.ErrorIs(t, err, os.ErrNotExist)

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.check"), []byte("other"), 0o600))
	_, err = broker.Open(t.Context(), embedded(dir, brokertest.Key), zerolog.Nop())
	require.Error(t, err)
}

func TestCloseIsBounded(t *testing.T) {
	b, err := broker.Open(t.Context(), embedded(t.TempDir(), brokertest.Key), zerolog.Nop())
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Close(ended); err != nil { // it may have been fast enough
		require.ErrorIs(t, err, context.Canceled)
	}
}

// eventually waits until Err is as wanted.
func eventually(t *testing.T, b *broker.Broker, wanted bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for (b.Err() == nil) != wanted {
		if time.Now().After(deadline) {
			require.Equal(t, wanted, b.Err() == nil, "%v", b.Err())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestASharedServerMayComeAndGo(t *testing.T) {
	dir := t.TempDir()
	server := brokertest.Server(t, brokertest.In(dir))
	url := server.ClientURL()
	port := brokertest.Port(server)
	server.Shutdown()
	server.WaitForShutdown()

	b := brokertest.Shared(t, url)
	assert.False(t, b.Embedded())
	require.Error(t, b.Err(), "Open succeeds without a server")
	_, err := b.JetStream().Publish(t.Context(), "s.a", []byte("lost"))
	require.Error(t, err, "nothing is sent later")

	server = brokertest.Server(t, brokertest.In(dir), brokertest.At(port))
	eventually(t, b, true)
	published(t, b, "kept")

	server.Shutdown()
	server.WaitForShutdown()
	eventually(t, b, false)

	brokertest.Server(t, brokertest.In(dir), brokertest.At(port))
	eventually(t, b, true)
	assert.Equal(t, "kept", last(t, b))
}

func TestAServerWithoutJetStreamIsNotEnough(t *testing.T) {
	server := brokertest.Server(t, brokertest.WithoutJetStream)
	b := brokertest.Shared(t, server.ClientURL())
	require.EqualError(t, b.Err(), "JetStream is off")
}

func TestOpenWaitsForNoServerThatIsSilent(t *testing.T) {
	// 192.0.2.0/24 is reserved for documentation (RFC 5737).
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b, err := broker.Open(ctx, broker.Settings{Servers: []string{"nats://192.0.2.1:4222", "nats://192.0.2.2:4222"}}, zerolog.Nop())
	require.NoError(t, err)
	require.Error(t, b.Err())
	require.NoError(t, b.Close(context.Background()))
}

func TestOpenReportsCredentialsThatCannotBeRead(t *testing.T) {
	unreadable := errors.New("unreadable")
	_, err := broker.Open(t.Context(), broker.Settings{
		Servers: []string{"nats://127.0.0.1:1"}, Credentials: func() (*broker.Credentials, error) { return nil, unreadable },
	}, zerolog.Nop())
	require.ErrorIs(t, err, unreadable)
}

func TestTheEmbeddedServerStartsAgainAfterAWriteError(t *testing.T) {
	b := brokertest.Embedded(t, t.TempDir())
	published(t, b, "kept")
	b.Fail(errors.New("no space left on device"))
	eventually(t, b, false)
	eventually(t, b, true)
	assert.Equal(t, "kept", last(t, b))
	published(t, b, "later")
	assert.Equal(t, "later", last(t, b))
}

// lines is a log to which several goroutines write.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

func TestAStreamThatCannotBeReadIsReportedAndTheOthersWork(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Open(t.Context(), embedded(dir, brokertest.Key), zerolog.Nop())
	require.NoError(t, err)
	published(t, b, "kept")
	_, err = b.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "damaged"})
	require.NoError(t, err)
	require.NoError(t, b.Close(t.Context()))
	require.NoError(t, os.Remove(filepath.Join(dir, "jetstream", "$G", "streams", "damaged", "meta.key")))

	var log lines
	b, err = broker.Open(t.Context(), embedded(dir, brokertest.Key), zerolog.New(&log))
	require.NoError(t, err)
	assert.Contains(t, log.String(), "JetStream left out what it cannot read")
	assert.Contains(t, log.String(), "damaged")
	assert.Equal(t, "kept", last(t, b))
	require.NoError(t, b.Close(t.Context()))
}
