package config

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"dicom-qr-gateway/internal/broker"
)

const (
	minRetention = time.Hour
	maxRetention = 10 * 365 * 24 * time.Hour
	// maxReplicas is that of JetStream.
	maxReplicas = 5
	wantNATS    = "want nats://host:port or tls://host:port, separated by commas, without credentials"
)

var gatewayName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// loadJobs reads the settings of batches and of shared budgets.
func (c *Config) loadJobs(faults *faultyVariables) {
	if c.NATSURL != "" && c.JobsDir != "" {
		faults.add("JOBS_DIR", "cannot be set together with NATS_URL: jobs are kept in one place")
	}
	c.loadNATS(faults)
	c.loadJobsDir(faults)
	if c.JobsRetention < Days(minRetention) || c.JobsRetention > Days(maxRetention) {
		faults.add("JOBS_RETENTION", "want 1h to 3650d")
	}
	switch {
	case c.JobsReplicas < 1 || c.JobsReplicas > maxReplicas:
		faults.add("JOBS_REPLICAS", "want 1 to 5, usually 3, or 1 without a cluster")
	case c.JobsReplicas > 1 && c.NATSURL == "":
		faults.add("JOBS_REPLICAS", "needs NATS_URL")
	}
	if c.JobsPerCaller < 1 {
		faults.add("JOBS_PER_CALLER", "want at least 1")
	}
	if c.GatewayName != "" && !gatewayName.MatchString(c.GatewayName) {
		faults.add("GATEWAY_NAME", "want 1 to 64 letters, digits, dots, colons, hyphens and underscores")
	}
}

func (c *Config) loadNATS(faults *faultyVariables) {
	secure := c.NATSTLSCAFile != "" || c.NATSTLSCertFile != ""
	if c.NATSURL != "" {
		for server := range strings.SplitSeq(c.NATSURL, ",") {
			u, err := url.Parse(strings.TrimSpace(server))
			if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || *u != (url.URL{Scheme: u.Scheme, Host: u.Host}) {
				faults.add("NATS_URL", wantNATS)
				return
			}
			secure = secure || u.Scheme == "tls"
			c.natsServers = append(c.natsServers, u.String())
		}
	}
	for _, file := range []namedFile{
		{"NATS_CREDENTIALS_FILE", c.NATSCredentialsFile},
		{"NATS_TLS_CA_FILE", c.NATSTLSCAFile},
		{"NATS_TLS_CERT_FILE", c.NATSTLSCertFile},
		{"NATS_TLS_KEY_FILE", c.NATSTLSKeyFile},
	} {
		if file.path != "" && c.NATSURL == "" {
			faults.add(file.setting, "needs NATS_URL")
		}
	}
	if c.NATSCredentialsFile != "" {
		if _, err := c.natsCredentials(); err != nil {
			fault := (*fileError)(nil)
			_ = errors.As(err, &fault)
			faults.add(fault.setting, fault.reason)
		}
	}
	natsTLS := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites}
	if c.NATSTLSCAFile != "" {
		natsTLS.RootCAs = certificatePool(faults.add, namedFile{"NATS_TLS_CA_FILE", c.NATSTLSCAFile})
	}
	natsTLS.Certificates = keyPair(faults.add,
		namedFile{"NATS_TLS_CERT_FILE", c.NATSTLSCertFile}, namedFile{"NATS_TLS_KEY_FILE", c.NATSTLSKeyFile})
	if secure {
		c.natsTLS = natsTLS
	}
}

// natsCredentials reads the file of credentials. The error is a *fileError.
func (c *Config) natsCredentials() (*broker.Credentials, error) {
	file := namedFile{"NATS_CREDENTIALS_FILE", c.NATSCredentialsFile}
	contents, fault := file.read()
	if fault != nil {
		return nil, fault
	}
	credentials, err := broker.ParseCredentials(contents)
	if err != nil {
		return nil, file.fault(err.Error())
	}
	return credentials, nil
}

func (c *Config) loadJobsDir(faults *faultyVariables) {
	switch {
	case c.JobsDir == "" && c.JobsKeyFile != "":
		faults.add("JOBS_KEY_FILE", "needs JOBS_DIR")
		return
	case c.JobsDir == "":
		return
	case c.JobsKeyFile == "":
		faults.add("JOBS_KEY_FILE", "is required if JOBS_DIR is set: the files there are encrypted")
	default:
		file := namedFile{"JOBS_KEY_FILE", c.JobsKeyFile}
		contents, fault := file.read()
		c.jobsKey = []byte(strings.TrimSpace(string(contents)))
		if fault == nil && len(c.jobsKey) < broker.MinKey {
			fault = file.fault("the key is shorter than 32 characters; openssl rand -base64 32 writes a good one")
		}
		if fault != nil {
			faults.add(fault.setting, fault.reason)
		}
	}
	info, err := os.Stat(c.JobsDir)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		faults.add("JOBS_DIR", FileReason(c.JobsDir, err))
	}
}

// Jobs reports whether the gateway offers batches.
func (c *Config) Jobs() bool { return c.NATSURL != "" || c.JobsDir != "" }

// Broker returns where jobs are kept, and whether the gateway offers batches.
func (c *Config) Broker() (broker.Settings, bool) {
	s := broker.Settings{Name: c.Name(), Servers: c.natsServers, TLS: c.natsTLS, Dir: c.JobsDir, Key: c.jobsKey}
	if c.NATSCredentialsFile != "" {
		s.Credentials = c.natsCredentials
	}
	return s, c.Jobs()
}

// Name returns the name of this gateway among those that share a NATS: GATEWAY_NAME, or the name of the machine and the port.
func (c *Config) Name() string {
	if c.GatewayName != "" {
		return c.GatewayName
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "gateway"
	}
	_, port, _ := net.SplitHostPort(c.ListenAddr)
	return host + ":" + cmp.Or(port, "0")
}

// plainNATS reports whether what the gateway sends to NATS crosses a network unencrypted.
func (c *Config) plainNATS() bool {
	if c.natsTLS != nil {
		return false
	}
	for _, server := range c.natsServers {
		u, err := url.Parse(server)
		if err != nil {
			return true
		}
		address, err := netip.ParseAddr(u.Hostname())
		if u.Hostname() != "localhost" && (err != nil || !address.IsLoopback()) {
			return true
		}
	}
	return false
}

// Days is a duration that may be long. It is written as Seconds is, or as a number of days, such as 30d.
type Days time.Duration

// UnmarshalText reads a duration such as 30d, 12h or 86400.
func (d *Days) UnmarshalText(text []byte) error {
	wanted := errors.New("want a number of days such as 30d, or a duration such as 12h")
	number, unit := string(text), time.Second
	if days, ok := strings.CutSuffix(number, "d"); ok {
		number, unit = days, 24*time.Hour
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n < 0 || n > int64(maxRetention/unit) {
			return wanted
		}
		*d = Days(time.Duration(n) * unit)
		return nil
	}
	duration, err := time.ParseDuration(string(text))
	if err != nil || duration < 0 {
		return wanted
	}
	*d = Days(duration)
	return nil
}

// String returns the duration in days if it is a whole number of them.
func (d Days) String() string {
	const day = 24 * time.Hour
	if d.Duration()%day == 0 {
		return strconv.FormatInt(int64(d.Duration()/day), 10) + "d"
	}
	return d.Duration().String()
}

// Duration returns d as a time.Duration.
func (d Days) Duration() time.Duration { return time.Duration(d) }
