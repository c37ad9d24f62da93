// Package config reads the settings of the gateway from environment variables, checks them as a whole, and turns them into
// typed values. It has all defaults. Files that settings name are read again when they change.
package config

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/server/access"
)

// Config holds all settings of the gateway. The tags of a field are the only place that describes its setting: the name of the
// environment variable, the default, the meaning for people, and, at the first setting of a group, the name of the group. Config
// holds no secrets, only the names of files that do. Load returns one.
type Config struct {
	ListenAddr         string `group:"HTTP" env:"LISTEN_ADDR" envDefault:":6000" help:"address and port of the gateway"`
	TLSCertFile        string `env:"TLS_CERT_FILE" help:"certificate, PEM: the gateway serves HTTPS"`
	TLSKeyFile         string `env:"TLS_KEY_FILE" help:"key of this certificate, PEM"`
	PublicURL          string `env:"PUBLIC_URL" help:"URL at which callers reach the gateway, the base of URLs in answers; empty takes that of the request"`
	CORSAllowedOrigins string `env:"CORS_ALLOWED_ORIGINS" help:"comma-separated origins of web pages that may call from a browser; * for any"`
	Console            bool   `env:"CONSOLE" envDefault:"true" help:"serve the page for people at /; false redirects / to /docs"`
	ViewerURL          string `env:"VIEWER_URL" help:"URL by which that page opens a study in a viewer, with {study} for the Study Instance UID and {pacs} for the name of the PACS; empty: no link"`

	LogToConsole bool   `group:"Logs" env:"LOG_TO_CONSOLE" envDefault:"true" help:"write the log to standard output"`
	LogFormat    string `env:"LOG_FORMAT" envDefault:"json" help:"json or console"`
	DICOMDebug   bool   `env:"DICOM_DEBUG" envDefault:"false" help:"also log PDUs, command sets and every element of identifiers: this writes patient data to the log"`
	AuditLog     string `env:"AUDIT_LOG" help:"file to append audit records to, or stdout"`
	AuditSync    bool   `env:"AUDIT_SYNC" envDefault:"false" help:"sync this file to the disk after each audit record, before the answer leaves"`
	TimeZone     string `env:"TZ" help:"time zone of \"today\" for max_years_old and of the log, such as Europe/Berlin"`

	ConnectionTimeout Seconds `group:"Timeouts" env:"CONNECTION_TIMEOUT" envDefault:"10" help:"name resolution, TCP and TLS connect, together"`
	ACSETimeout       Seconds `env:"ACSE_TIMEOUT" envDefault:"10" help:"negotiation of an association, and its release"`
	DIMSETimeout      Seconds `env:"DIMSE_TIMEOUT" envDefault:"10" help:"the time to the next complete response of the PACS"`
	MoveTimeout       Seconds `env:"MOVE_TIMEOUT" default:"DIMSE_TIMEOUT" help:"the same during a C-MOVE or C-GET; raise it for a PACS that reads from tape"`
	NetworkTimeout    Seconds `env:"NETWORK_TIMEOUT" envDefault:"10" help:"the time without a byte inside a PDU, or without progress of a write"`
	OperationTimeout  Seconds `env:"OPERATION_TIMEOUT" envDefault:"3600" help:"the whole operation until it is cancelled, which takes up to 2 s more; 0 is no limit"`
	QueueTimeout      Seconds `env:"QUEUE_TIMEOUT" envDefault:"5" help:"the wait for a free association to a PACS before a 503 (pacs_busy), or until the operation may run (too_many_operations); 0 waits only if a kept association can be closed for it"`
	AssociationIdle   Seconds `env:"ASSOCIATION_IDLE" envDefault:"0" help:"how long an idle association is kept for the next request, independent of NETWORK_TIMEOUT; 0 keeps none"`
	// The default of DrainTimeout leaves time for the cancelling within the ten seconds that container runtimes commonly grant.
	DrainTimeout Seconds `env:"DRAIN_TIMEOUT" envDefault:"5" help:"running operations at shutdown, before they are cancelled"`

	MaxMatches             int `group:"Limits" env:"MAX_MATCHES" envDefault:"10000" help:"C-FIND matches that are read; more is a 502 (too_many_matches), never a shortened list"`
	MaxAssociationsPerPACS int `env:"MAX_ASSOCIATIONS_PER_PACS" envDefault:"10" help:"associations open at once to one address and port"`
	MaxOperations          int `env:"MAX_OPERATIONS" envDefault:"256" help:"operations (/q, /qr, /echo) that run at once, three quarters of them for one caller; further ones wait up to QUEUE_TIMEOUT"`
	MaxConnections         int `env:"MAX_CONNECTIONS" envDefault:"1024" help:"connections of callers that are open at once, three quarters of them for one address; at most half of the open files of the process"`
	// MaxMemory is zero if the limit of the cgroup is to be used.
	MaxMemory Bytes `env:"MAX_MEMORY" default:"256MiB" help:"memory that the gateway stays within, in bytes or with a unit such as MiB; if it is not set, the limit of its cgroup if there is one; a quarter is for what operations keep of answers"`

	SpoolMemory  Bytes   `group:"Spool and cache" env:"SPOOL_MEMORY" envDefault:"4MiB" help:"memory for instances that the caller of one retrieval has not taken yet; all retrievals together have 16 times as much, at most a quarter of MAX_MEMORY"`
	SpoolDir     string  `env:"SPOOL_DIR" help:"directory for what exceeds this memory, in an encrypted file; empty slows the PACS down to the pace of the caller"`
	SpoolLimit   Bytes   `env:"SPOOL_LIMIT" envDefault:"10GiB" help:"size of this file at most; the PACS is slowed down beyond it"`
	StallTimeout Seconds `env:"STALL_TIMEOUT" envDefault:"30" help:"how long a caller may take nothing of an answer with instances until it is cut off"`
	CacheSize    Bytes   `env:"CACHE_SIZE" envDefault:"0" help:"size of the cache of instances for viewers; 0 is no cache"`
	CacheDir     string  `env:"CACHE_DIR" help:"directory of the cache, in an encrypted file; empty keeps it in memory, at most a quarter of MAX_MEMORY"`
	CacheTTL     Seconds `env:"CACHE_TTL" envDefault:"600" help:"how long the cache keeps an instance"`

	PACSFile      string `group:"Which PACS" env:"PACS_FILE" help:"YAML file of named PACS, which requests name with pacs in place of an address"`
	AdHocPACS     bool   `env:"AD_HOC_PACS" envDefault:"true" help:"accept requests that bring the address of a PACS; false accepts only those that name one of PACS_FILE"`
	PACSAllowlist string `env:"PACS_ALLOWLIST" help:"comma-separated CIDR blocks, addresses or host names, each with or without :port, that requests may bring; empty permits any; PACS of PACS_FILE need no entry"`

	NATSURL             string `group:"Batches" env:"NATS_URL" help:"comma-separated URLs of a NATS server or cluster with JetStream that several gateways share, such as tls://nats.hospital.example:4222: batches are kept there, and max_associations of named PACS hold for all gateways together"`
	NATSCredentialsFile string `env:"NATS_CREDENTIALS_FILE" help:"file with what the gateway shows to NATS: a .creds file, the seed of a user NKey, user:password, or a token"`
	NATSTLSCAFile       string `env:"NATS_TLS_CA_FILE" help:"CA certificates that NATS servers are verified against; empty uses those of the system; requires TLS"`
	NATSTLSCertFile     string `env:"NATS_TLS_CERT_FILE" help:"certificate that the gateway presents to NATS, PEM; requires TLS"`
	NATSTLSKeyFile      string `env:"NATS_TLS_KEY_FILE" help:"key of this certificate, PEM"`
	JobsDir             string `env:"JOBS_DIR" help:"directory for the batches of one gateway, in place of NATS_URL: JetStream runs in the gateway and keeps its encrypted files there"`
	JobsKeyFile         string `env:"JOBS_KEY_FILE" help:"file of the key that these files are encrypted with, 32 characters or more"`
	JobsRetention       Days   `env:"JOBS_RETENTION" envDefault:"30d" help:"how long a job is kept after it was filed, with its results and its Idempotency-Key"`
	JobsReplicas        int    `env:"JOBS_REPLICAS" envDefault:"1" help:"on how many servers of a NATS cluster jobs are kept: 3 survives the loss of one"`
	JobsPerCaller       int    `env:"JOBS_PER_CALLER" envDefault:"100" help:"jobs of one caller that are not finished; more is a 429 (too_many_jobs)"`
	GatewayName         string `env:"GATEWAY_NAME" help:"name of this gateway among those that share a NATS, the same after a restart; empty takes the name of the machine and the port of LISTEN_ADDR"`

	DICOMTLSCAFile     string `group:"DICOM TLS" env:"DICOM_TLS_CA_FILE" help:"CA certificates that PACS are verified against; empty uses those of the system"`
	DICOMTLSCertFile   string `env:"DICOM_TLS_CERT_FILE" help:"certificate that the gateway presents to PACS, PEM"`
	DICOMTLSKeyFile    string `env:"DICOM_TLS_KEY_FILE" help:"key of this certificate, PEM"`
	DICOMTLSServerName string `env:"DICOM_TLS_SERVER_NAME" help:"name expected in the certificate of the PACS; empty expects pacs_ip"`

	StoreListenAddr string  `group:"Storage SCP" env:"STORE_LISTEN_ADDR" help:"address and port of the storage SCP, to which PACS send the instances that C-MOVE retrieves; empty: there is none"`
	StoreAETitles   string  `env:"STORE_AE_TITLES" help:"comma-separated AE titles of the storage SCP, the move destinations of PACS; with several, more retrievals run at once"`
	StoreTLS        bool    `env:"STORE_TLS" envDefault:"false" help:"DICOM TLS for PACS that connect, with the files of DICOM_TLS_*; they need a client certificate"`
	StoreGrace      Seconds `env:"STORE_GRACE" envDefault:"10" help:"how long instances may arrive after the final response of a C-MOVE, and how long an AE title rests after a retrieval that is not complete"`

	APIKeysFile         string `group:"Access" env:"API_KEYS_FILE" help:"file of API keys, one name:sha256-hex a line; callers need one of them"`
	TLSClientCAFile     string `env:"TLS_CLIENT_CA_FILE" help:"CA certificates; callers need a client certificate issued by one of them"`
	AllowedHosts        string `env:"ALLOWED_HOSTS" help:"comma-separated host names, or *.domain, by which callers may name the gateway while it requires neither API keys nor HTTPS; addresses, localhost and names without a dot are always permitted"`
	TrustedProxies      string `env:"TRUSTED_PROXIES" help:"comma-separated addresses and CIDR blocks of proxies whose X-Forwarded-For is believed"`
	ForwardedUserHeader string `env:"FORWARDED_USER_HEADER" help:"header in which these proxies name the user, for the log and the audit trail"`

	// Tracing says where spans are exported, from OpenTelemetry's own variables.
	Tracing telemetry.Tracing

	location *time.Location // nil: the system's
	dicomTLS *tls.Config
	allow    *pool.Allowlist        // nil: any PACS
	tlsFiles *reloaded[serverTLS]   // nil: plain HTTP
	keys     *reloaded[access.Keys] // nil: no key is required
	origins  []string
	hosts    *access.Hosts
	proxies  access.Proxies
	base     *url.URL // PUBLIC_URL; nil: that of the request

	storeTitles []string // STORE_AE_TITLES

	natsServers []string    // NATS_URL
	natsTLS     *tls.Config // nil: TLS is not required
	jobsKey     []byte      // the contents of JOBS_KEY_FILE

	pacs       *PACS
	pacsReader *pacsReader // nil: PACS_FILE is empty
}

// Load reads all settings from the variables of the environment. An empty variable counts as unset. The error is a *FaultsError.
func Load(variables map[string]string) (Config, error) {
	var c Config
	var faults faultyVariables

	parse(&c, &faults, variables)
	c.check(&faults, variables)
	if variables["MOVE_TIMEOUT"] == "" {
		c.MoveTimeout = c.DIMSETimeout
	}
	c.loadPACS(&faults, variables)
	c.Tracing = readTracing(func(name string) string { return variables[name] }, faults.add)
	reportMisspelled(variables, faults.add)
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
	if c.MaxMemory != 0 && c.MaxMemory < minMemory {
		faults.add("MAX_MEMORY", "want at least 128MiB")
	}
	if c.MaxOperations < 1 {
		faults.add("MAX_OPERATIONS", "want at least 1")
	}
	if c.MaxConnections < 1 {
		faults.add("MAX_CONNECTIONS", "want at least 1")
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
		faults.add("LISTEN_ADDR", wantListenAddr)
	}
	c.checkSpool(faults)
	c.loadTimeZone(faults)
	c.loadTLS(faults)
	c.loadStorage(faults)
	c.loadJobs(faults)
	c.loadAccess(faults)
}

// minMemory is what the gateway needs to run MAX_OPERATIONS small operations.
const minMemory = 128 << 20

const wantListenAddr = "want host:port or :port"

// Endpoint returns the address of the listener, and whether it serves HTTPS. It reads nothing else, so that it answers if other
// settings or files have become invalid since the gateway started.
func Endpoint(variables map[string]string) (address string, secure bool, err error) {
	field, _ := reflect.TypeFor[Config]().FieldByName("ListenAddr")
	address = cmp.Or(variables["LISTEN_ADDR"], field.Tag.Get("envDefault"))
	if !validListenAddr(address) {
		return "", false, &FaultsError{[]string{"LISTEN_ADDR: " + wantListenAddr}}
	}
	return address, variables["TLS_CERT_FILE"] != "", nil
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

// AllowsAnyPACS reports whether callers can make the gateway connect to any address.
func (c *Config) AllowsAnyPACS() bool { return c.allow == nil && c.AdHocPACS }

// Pool returns the options of the pool of associations. The caller adds the rest: Background and Trace.
func (c *Config) Pool() pool.Options {
	return pool.Options{
		Timeouts:               c.timeouts(),
		TLS:                    c.dicomTLS,
		Allow:                  c.allow,
		MaxAssociationsPerPeer: c.MaxAssociationsPerPACS,
		MaxOperations:          c.MaxOperations,
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
	if c.pacs.file != nil {
		c.pacs.file.interval, c.pacsReader.interval = age, age
		for _, named := range c.pacs.file.current.Load().all {
			if named.tls != nil {
				named.tls.interval = age
			}
		}
	}
}

// Reread reads all files again now.
func (c *Config) Reread() {
	if c.keys != nil {
		c.keys.rereadNow()
	}
	if c.tlsFiles != nil {
		c.tlsFiles.rereadNow()
	}
	c.pacs.reread()
}

// LogWarnings logs a warning for each setting that leaves the gateway open.
func (c *Config) LogWarnings(logger zerolog.Logger) {
	if c.AllowsAnyPACS() {
		logger.Warn().Msg("PACS_ALLOWLIST is empty: callers can make the gateway connect to any address that it can reach")
	}
	if !c.RequiresCredentials() {
		logger.Warn().Msg("API_KEYS_FILE and TLS_CLIENT_CA_FILE are empty: the gateway accepts requests without credentials")
	}
	if c.plainNATS() {
		logger.Warn().Msg("NATS_URL is without TLS: Patient IDs cross the network unencrypted")
	}
	if c.DICOMDebug {
		logger.Warn().Msg("DICOM_DEBUG is on: the log holds patient data")
	}
}

// LogReloads logs each new version of a file, from the next use of the file on. It must be called before the values are used.
func (c *Config) LogReloads(logger zerolog.Logger) {
	report := func(name string, fault *fileError) {
		if fault != nil {
			logger.Error().Str("setting", fault.setting).Str("reason", strings.Join(fault.lines(), "; ")).
				Msg("reload failed, keeping the previous version")
			return
		}
		logger.Info().Str("setting", name).Msg("reloaded")
	}
	changed := func(name string) func(*fileError) {
		return func(fault *fileError) { report(name, fault) }
	}
	if c.keys != nil {
		c.keys.changed = changed("API_KEYS_FILE")
	}
	if c.tlsFiles != nil {
		c.tlsFiles.changed = changed("TLS_CERT_FILE")
	}
	if c.pacs.file != nil {
		c.pacs.file.changed, c.pacsReader.changed = changed("PACS_FILE"), report
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
		if value, ok := setting.(fmt.Stringer); ok { // sizes, and durations of days
			setting = value.String()
		}
		e.Interface(strings.ToLower(name), setting)
	}
	e.Bool("tracing", c.Tracing.On) // headers of the exporter may hold secrets
}
