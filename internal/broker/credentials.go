package broker

import (
	"bytes"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Credentials are what a gateway shows to a NATS server.
type Credentials struct {
	jwt            string // with seed: a user of an operator
	seed           []byte // alone: an NKey
	user, password string
	token          string
}

var errCredentials = errors.New("want a file of NATS credentials (.creds), the seed of a user NKey, user:password, or a token, and nothing else")

// ParseCredentials reads the contents of a file of credentials: a file of JWT and seed as nsc writes it (.creds), the seed of a user
// NKey, user:password, or a token. The error holds nothing of the contents.
func ParseCredentials(contents []byte) (*Credentials, error) {
	if bytes.Contains(contents, []byte("-----BEGIN NATS USER JWT-----")) {
		jwt, err := nkeys.ParseDecoratedJWT(contents)
		if err != nil {
			return nil, errCredentials
		}
		pair, err := nkeys.ParseDecoratedUserNKey(contents)
		if err != nil {
			return nil, errCredentials
		}
		seed, err := pair.Seed()
		if err != nil {
			return nil, errCredentials
		}
		return &Credentials{jwt: jwt, seed: seed}, nil
	}
	line := strings.TrimSpace(string(contents))
	if line == "" || strings.ContainsAny(line, "\r\n") {
		return nil, errCredentials
	}
	if pair, err := nkeys.FromSeed([]byte(line)); err == nil {
		public, err := pair.PublicKey()
		if err != nil || !nkeys.IsValidPublicUserKey(public) {
			return nil, errCredentials
		}
		return &Credentials{seed: []byte(line)}, nil
	}
	if user, password, ok := strings.Cut(line, ":"); ok {
		if user == "" || password == "" {
			return nil, errCredentials
		}
		return &Credentials{user: user, password: password}, nil
	}
	return &Credentials{token: line}, nil
}

// options returns the options of a connection that shows credentials of this kind. It asks for them at each connection, so that a
// new password or JWT needs no restart; an NKey stays what it is.
func (c *Credentials) options(current func() (*Credentials, error)) []nats.Option {
	latest := func() *Credentials {
		if next, err := current(); err == nil {
			return next
		}
		return c
	}
	switch {
	case c.jwt != "":
		return []nats.Option{nats.UserJWT(
			func() (string, error) { return latest().jwt, nil },
			func(nonce []byte) ([]byte, error) { return latest().sign(nonce) },
		)}
	case c.seed != nil:
		public, err := c.public()
		if err != nil { // ParseCredentials has checked it
			return nil
		}
		return []nats.Option{nats.Nkey(public, c.sign)}
	case c.user != "":
		return []nats.Option{nats.UserInfoHandler(func() (string, string) {
			next := latest()
			return next.user, next.password
		})}
	}
	return []nats.Option{nats.TokenHandler(func() string { return latest().token })}
}

func (c *Credentials) public() (string, error) {
	pair, err := nkeys.FromSeed(c.seed)
	if err != nil {
		return "", err
	}
	return pair.PublicKey()
}

func (c *Credentials) sign(nonce []byte) ([]byte, error) {
	pair, err := nkeys.FromSeed(c.seed)
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}
