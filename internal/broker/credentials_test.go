package broker_test

import (
	"context"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/broker"
	"dicom-qr-gateway/internal/broker/brokertest"
)

// with connects to the server with the credentials that a function returns.
func with(t *testing.T, url string, credentials func() string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), broker.Settings{
		Servers:     []string{url},
		Credentials: func() (*broker.Credentials, error) { return broker.ParseCredentials([]byte(credentials())) },
	}, zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close(context.Background())) })
	return b
}

func TestTheGatewayShowsEachKindOfCredentials(t *testing.T) {
	user, err := nkeys.CreateUser()
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)
	public, err := user.PublicKey()
	require.NoError(t, err)
	for kind, c := range map[string]struct {
		server func(*natsserver.Options)
		file   string
	}{
		"password": {func(o *natsserver.Options) { o.Username, o.Password = "gateway", "a:b c" }, "gateway:a:b c\n"},
		"token":    {func(o *natsserver.Options) { o.Authorization = "a-token" }, " a-token\r\n"},
		"nkey":     {func(o *natsserver.Options) { o.Nkeys = []*natsserver.NkeyUser{{Nkey: public}} }, string(seed) + "\n"},
	} {
		t.Run(kind, func(t *testing.T) {
			server := brokertest.Server(t, c.server)
			require.NoError(t, with(t, server.ClientURL(), func() string { return c.file }).Err())
		})
	}
}

func TestNewCredentialsAreUsedWithoutARestart(t *testing.T) {
	server := brokertest.Server(t, func(o *natsserver.Options) { o.Username, o.Password = "gateway", "new" })
	shown := make(chan string, 1)
	shown <- "gateway:old"
	b := with(t, server.ClientURL(), func() string {
		now := <-shown
		shown <- now
		return now
	})
	require.Error(t, b.Err())
	<-shown
	shown <- "gateway:new"
	eventually(t, b, true)
}

func TestParseCredentialsNamesNothingOfFaultyContents(t *testing.T) {
	account, err := nkeys.CreateAccount()
	require.NoError(t, err)
	seed, err := account.Seed()
	require.NoError(t, err)
	for name, contents := range map[string]string{
		"empty": " \n", "two lines": "secret\nsecret", "no password": "secret:", "no user": ":secret",
		"seed of an account": string(seed), "no seed": "-----BEGIN NATS USER JWT-----\nsecret\n------END NATS USER JWT------\n",
	} {
		_, err := broker.ParseCredentials([]byte(contents))
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "secret", name)
	}
}

func FuzzParseCredentials(f *testing.F) {
	f.Add([]byte("user:password"))
	f.Add([]byte("SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY"))
	f.Add([]byte("-----BEGIN NATS USER JWT-----\ne30.e30.x\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\nSU\n------END USER NKEY SEED------\n"))
	_, refused := broker.ParseCredentials(nil)
	f.Fuzz(func(t *testing.T, contents []byte) {
		if _, err := broker.ParseCredentials(contents); err != nil {
			assert.Equal(t, refused, err, "an error that depends on the contents could repeat them")
		}
	})
}
