// Package config reads the settings of the gateway from environment variables, checks them as a whole, and turns them into
// typed values. It has all defaults. Files that settings name are read again when they change.
package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/server/access"
)

// Config holds all settings of the gateway, each read from the environment variable that its tag names. It holds no secrets,
// only the names of files that do. Load returns one.
type Config struct {
	DICOMDebug   bool   `env:"DICOM_DEBUG"    envDefault:"false"`
	LogToConsole bool   `env:"LOG_TO_CONSOLE" envDefault:"true"`
	LogFormat    string `env:"LOG_FORMAT"     envDefault:"json"`
	ListenAddr   string `env:"LISTEN_ADDR"    envDefault:":6000"`

	ACSETimeout       Seconds `env:"ACSE_TIMEOUT"       envDefault:"10"`
	DIMSETimeout      Seconds `env:"DIMSE_TIMEOUT"      envDefault:"10"`
	NetworkTimeout    Seconds `env:"NETWORK_TIMEOUT"    envDefault:"10"`
	ConnectionTimeout Seconds `env:"CONNECTION_TIMEOUT" envDefault:"10"`
	MoveTimeout       Seconds `env:"MOVE_TIMEOUT"` // zero: DIMSETimeout
	OperationTimeout  Seconds `env:"OPERATION_TIMEOUT"  envDefault:"3600"`
	// DrainTimeout is how long operations may continue during shutdown before they are cancelled at their PACS. The default
	// leaves time for the cancelling within the ten seconds that container runtimes commonly grant.
	DrainTimeout Seconds `env:"DRAIN_TIMEOUT" envDefault:"5"`

	MaxMatches int `env:"MAX_MATCHES" envDefault:"10000"`

	PACSAllowlist          string  `env:"PACS_ALLOWLIST"`
	MaxOperations          int     `env:"MAX_OPERATIONS"            envDefault:"256"`
	MaxAssociationsPerPACS int     `env:"MAX_ASSOCIATIONS_PER_PACS" envDefault:"10"`
	QueueTimeout           Seconds `env:"QUEUE_TIMEOUT"             envDefault:"5"`
	AssociationIdle        Seconds `env:"ASSOCIATION_IDLE"          envDefault:"0"`

	DICOMTLSCAFile     string `env:"DICOM_TLS_CA_FILE"`
	DICOMTLSCertFile   string `env:"DICOM_TLS_CERT_FILE"`
	DICOMTLSKeyFile    string `env:"DICOM_TLS_KEY_FILE"`
	DICOMTLSServerName string `env:"DICOM_TLS_SERVER_NAME"`
	TLSCertFile        string `env:"TLS_CERT_FILE"`
	TLSKeyFile         string `env:"TLS_KEY_FILE"`
	TLSClientCAFile    string `env:"TLS_CLIENT_CA_FILE"`

	APIKeysFile         string `env:"API_KEYS_FILE"`
	AuditLog            string `env:"AUDIT_LOG"`
	CORSAllowedOrigins  string `env:"CORS_ALLOWED_ORIGINS"`
	AllowedHosts        string `env:"ALLOWED_HOSTS"`
	TrustedProxies      string `env:"TRUSTED_PROXIES"`
	ForwardedUserHeader string `env:"FORWARDED_USER_HEADER"`

	// Tracing says where spans are exported, from OpenTelemetry's own variables.
	Tracing telemetry.Tracing

	dicomTLS *tls.Config
	allow    *pool.Allowlist        // nil: any PACS
	tlsFiles *reloaded[serverTLS]   // nil: plain HTTP
	keys     *reloaded[access.Keys] // nil: no key is required
	origins  []string
	hosts    *access.Hosts
	proxies  access.Proxies
}

// Seconds is a duration written as a number of seconds, with or without a fraction.
type Seconds time.Duration

// UnmarshalText reads a number of seconds.
func (s *Seconds) UnmarshalText(text []byte) error {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > maxSeconds {
		return fmt.Errorf("want seconds, 0 to %d", maxSeconds)
	}
	*s = Seconds(f * float64(time.Second))
	return nil
}

const maxSeconds = 1_000_000

// Duration returns s as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// Load reads all settings. An empty variable counts as unset. The error names every faulty variable and holds no value.
func Load(getenv func(string) string) (Config, error) {
	var c Config
	var faults faultyVariables

	environment := map[string]string{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if name := field.Tag.Get("env"); name != "" && getenv(name) != "" {
			environment[name] = getenv(name)
		}
	}
	if err := env.ParseWithOptions(&c, env.Options{Environment: environment}); err != nil {
		faults.addParseErrors(err)
	}
	c.check(&faults, environment)
	if environment["MOVE_TIMEOUT"] == "" {
		c.MoveTimeout = c.DIMSETimeout
	}
	c.Tracing = readTracing(getenv, faults.add)
	return c, faults.err()
}

func (c *Config) check(faults *faultyVariables, set map[string]string) {
	for _, timeout := range []struct {
		name  string
		value Seconds
	}{
		{"ACSE_TIMEOUT", c.ACSETimeout},
		{"CONNECTION_TIMEOUT", c.ConnectionTimeout},
		{"DIMSE_TIMEOUT", c.DIMSETimeout},
		{"MOVE_TIMEOUT", c.MoveTimeout},
		{"NETWORK_TIMEOUT", c.NetworkTimeout},
	} {
		// With zero, a silent PACS would block an operation for ever.
		if timeout.value <= 0 && (timeout.name != "MOVE_TIMEOUT" || set[timeout.name] != "") {
			faults.add(timeout.name, "want more than 0 seconds")
		}
	}
	if c.LogFormat != "json" && c.LogFormat != "console" {
		faults.add("LOG_FORMAT", "want json or console")
	}
	if c.MaxMatches < 1 {
		faults.add("MAX_MATCHES", "want at least 1")
	}
	if c.MaxOperations < 1 {
		faults.add("MAX_OPERATIONS", "want at least 1")
	}
	if c.MaxAssociationsPerPACS < 1 {
		faults.add("MAX_ASSOCIATIONS_PER_PACS", "want at least 1")
	}
	if c.PACSAllowlist != "" {
		var err error
		if c.allow, err = pool.ParseAllowlist(c.PACSAllowlist); err != nil {
			faults.add("PACS_ALLOWLIST", "want CIDR, host or host:port, separated by commas; "+err.Error())
		}
	}
	if !validListenAddr(c.ListenAddr) {
		faults.add("LISTEN_ADDR", "want host:port or :port")
	}
	c.loadTLS(faults)
	c.loadAccess(faults)
}

func validListenAddr(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func (c *Config) timeouts() dicomnet.Timeouts {
	return dicomnet.Timeouts{
		Connection: c.ConnectionTimeout.Duration(),
		ACSE:       c.ACSETimeout.Duration(),
		DIMSE:      c.DIMSETimeout.Duration(),
		Move:       c.MoveTimeout.Duration(),
		Network:    c.NetworkTimeout.Duration(),
	}
}

// Log returns what is logged, and how.
func (c *Config) Log() telemetry.LogOptions {
	return telemetry.LogOptions{On: c.LogToConsole, Debug: c.DICOMDebug, Console: c.LogFormat == "console"}
}

// AllowsAnyPACS reports whether the gateway may connect to any address.
func (c *Config) AllowsAnyPACS() bool { return c.allow == nil }

// Pool returns the options of the pool of associations. The caller adds the rest: Background and Trace.
func (c *Config) Pool() pool.Options {
	return pool.Options{
		Timeouts:               c.timeouts(),
		TLS:                    c.dicomTLS,
		Allow:                  c.allow,
		MaxAssociationsPerPeer: c.MaxAssociationsPerPACS,
		QueueTimeout:           c.QueueTimeout.Duration(),
		AssociationIdle:        c.AssociationIdle.Duration(),
	}
}

// RereadEvery sets the age at which files are read again when their values are used. The default is one second.
func (c *Config) RereadEvery(age time.Duration) {
	if c.keys != nil {
		c.keys.interval = age
	}
	if c.tlsFiles != nil {
		c.tlsFiles.interval = age
	}
}

// LogReloads logs each new version of a file, from the next use of the file on. It must be called before the values are used.
func (c *Config) LogReloads(logger zerolog.Logger) {
	changed := func(name string) func(*fileError) {
		return func(fault *fileError) {
			if fault != nil {
				logger.Error().Str("setting", fault.setting).Str("reason", fault.reason).
					Msg("reload failed, keeping the previous version")
				return
			}
			logger.Info().Str("setting", name).Msg("reloaded")
		}
	}
	if c.keys != nil {
		c.keys.changed = changed("API_KEYS_FILE")
	}
	if c.tlsFiles != nil {
		c.tlsFiles.changed = changed("TLS_CERT_FILE")
	}
}

// ServerTLS returns the configuration of the gateway's own listener; nil: plain HTTP. It reads its files again as they change.
func (c *Config) ServerTLS() *tls.Config {
	if c.tlsFiles == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		CipherSuites:       cipherSuites,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.tlsFiles.get().config, nil },
	}
}

// MarshalZerologObject writes every setting under the name of its variable in lower case.
func (c Config) MarshalZerologObject(e *zerolog.Event) {
	value := reflect.ValueOf(c)
	for _, field := range reflect.VisibleFields(value.Type()) {
		name := field.Tag.Get("env")
		if name == "" {
			continue
		}
		setting := value.FieldByIndex(field.Index).Interface()
		if seconds, ok := setting.(Seconds); ok {
			setting = seconds.Duration().Seconds()
		}
		e.Interface(strings.ToLower(name), setting)
	}
	e.Bool("tracing", c.Tracing.On) // headers of the exporter may hold secrets
}

// faultyVariables collects the faults of the environment, one a variable.
type faultyVariables struct {
	names   []string
	reasons map[string]string
}

func (f *faultyVariables) add(name, reason string) {
	if _, known := f.reasons[name]; known {
		return
	}
	if f.reasons == nil {
		f.reasons = map[string]string{}
	}
	f.names = append(f.names, name)
	f.reasons[name] = reason
}

func (f *faultyVariables) addParseErrors(err error) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		f.add("environment", "cannot be read")
		return
	}
	for _, err := range all.Errors {
		var fault env.ParseError
		if !errors.As(err, &fault) {
			f.add("environment", "cannot be read")
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(fault.Name)
		reason := fault.Err.Error()
		switch field.Type.Kind() {
		case reflect.Bool:
			reason = "want true or false"
		case reflect.Int:
			reason = "want an integer"
		}
		f.add(field.Tag.Get("env"), reason)
	}
}

func (f *faultyVariables) err() error {
	if len(f.names) == 0 {
		return nil
	}
	slices.Sort(f.names)
	lines := make([]string, len(f.names))
	for i, name := range f.names {
		lines[i] = name + ": " + f.reasons[name]
	}
	return errors.New("faulty settings: " + strings.Join(lines, "; "))
}
