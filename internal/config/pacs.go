package config

import (
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/internal/pool"
)

// PACS are the named PACS: those of PACS_FILE, which is read again when it changes, and those that Include added. It is safe for
// concurrent use.
type PACS struct {
	file     *reloaded[pacsDirectory] // nil: PACS_FILE is empty
	included []pool.Peer
}

// Include adds PACS that are not in PACS_FILE. A name of the file takes precedence. It must be called before the values are used.
func (p *PACS) Include(peers ...pool.Peer) { p.included = append(p.included, peers...) }

// Lookup returns the PACS with the name, as it is configured now.
func (p *PACS) Lookup(name string) (pool.Peer, bool) {
	if p.file != nil {
		if found := p.file.get().byName[name]; found != nil {
			return found.peer(), true
		}
	}
	for _, peer := range p.included {
		if peer.Name == name {
			return peer, true
		}
	}
	return pool.Peer{}, false
}

// List returns all PACS in the order of the file.
func (p *PACS) List() []pool.Peer {
	var all []pool.Peer
	var inFile map[string]*namedPACS
	if p.file != nil {
		directory := p.file.get()
		inFile = directory.byName
		for _, named := range directory.all {
			all = append(all, named.peer())
		}
	}
	for _, peer := range p.included {
		if inFile[peer.Name] == nil {
			all = append(all, peer)
		}
	}
	return all
}

// reread reads the file, and the files of TLS that it names, without waiting for the time at which they are due.
func (p *PACS) reread() {
	if p.file == nil {
		return
	}
	p.file.rereadNow()
	for _, named := range p.file.get().all {
		if named.tls != nil {
			named.tls.rereadNow()
		}
	}
}

// pacsDirectory is one version of PACS_FILE.
type pacsDirectory struct {
	all    []*namedPACS
	byName map[string]*namedPACS
}

// namedPACS is one version of an entry.
type namedPACS struct {
	entry pacsEntry
	tls   *reloaded[tls.Config] // nil: no files of its own
	// current is the peer with the current version of the TLS files.
	current atomic.Pointer[pool.Peer]
}

// peer returns the peer with the TLS files as they are now.
func (n *namedPACS) peer() pool.Peer {
	current := n.current.Load()
	if n.tls == nil {
		return *current
	}
	if files := n.tls.get(); files != current.Settings.TLS {
		peer, settings := *current, *current.Settings
		settings.TLS = files
		peer.Settings = &settings
		if n.current.CompareAndSwap(current, &peer) {
			return peer
		}
		return *n.current.Load()
	}
	return *current
}

// pacsDefaults are the settings of a PACS without settings of its own.
type pacsDefaults struct {
	timeouts        dicomnet.Timeouts
	maxAssociations int
	associationIdle time.Duration
	moveTimeoutSet  bool // by MOVE_TIMEOUT
	storage         bool // STORE_LISTEN_ADDR is set
	storeTitles     []string
}

func (d *pacsDefaults) settings() *pool.Settings {
	return &pool.Settings{
		Timeouts: d.timeouts, MaxAssociations: d.maxAssociations, AssociationIdle: d.associationIdle, Retrieve: pool.RetrieveAuto,
	}
}

func (c *Config) pacsDefaults() *pacsDefaults {
	return &pacsDefaults{
		timeouts: c.timeouts(), maxAssociations: c.MaxAssociationsPerPACS, associationIdle: c.AssociationIdle.Duration(),
		storage: c.StoreListenAddr != "", storeTitles: c.storeTitles,
	}
}

// defaultReserved returns how many associations are reserved for each gateway that shares a PACS with others: one, unless it is the only one.
func defaultReserved(maxAssociations int) int { return max(min(1, maxAssociations-1), 0) }

// NamedPACS returns a peer with a name and the settings of a PACS that has none of its own.
func (c *Config) NamedPACS(name, description string) pool.Peer {
	settings := c.pacsDefaults().settings()
	settings.Description, settings.MaxRetrievals = description, min(defaultRetrievals, settings.MaxAssociations)
	settings.ReservedAssociations = defaultReserved(settings.MaxAssociations)
	return pool.Peer{Name: name, Settings: settings}
}

// loadPACS reads PACS_FILE.
func (c *Config) loadPACS(faults *faultyVariables, set map[string]string) {
	c.pacs = &PACS{}
	if c.PACSFile == "" {
		return
	}
	defaults := c.pacsDefaults()
	defaults.moveTimeoutSet = set["MOVE_TIMEOUT"] != ""
	reader := &pacsReader{defaults: defaults, interval: rereadInterval, changed: func(string, *fileError) {}}
	var fault *fileError
	if c.pacs.file, fault = newReloaded(reader.parse, namedFile{"PACS_FILE", c.PACSFile}); fault != nil {
		if lines := fault.lines(); pacsLine.MatchString(strings.TrimPrefix(lines[0], c.PACSFile)) {
			faults.addLines(fault.setting, lines...)
		} else {
			faults.add(fault.setting, fault.reason)
		}
		return
	}
	c.pacsReader = reader
}

// pacsReader makes a directory of each version of PACS_FILE.
type pacsReader struct {
	defaults *pacsDefaults
	interval time.Duration // of the TLS files
	previous *pacsDirectory
	changed  func(name string, fault *fileError) // of TLS files
}

// parse returns the directory of a version of the file. An entry that has not changed keeps its settings, and so its associations.
func (r *pacsReader) parse(files []namedFile, contents [][]byte) (*pacsDirectory, *fileError) {
	var faults pacsFaults
	path := files[0].path
	entries := readPACSFile(path, contents[0], r.defaults, &faults)
	directory := &pacsDirectory{byName: map[string]*namedPACS{}}
	for i := range entries {
		named := r.known(&entries[i])
		if named == nil {
			named = r.named(&entries[i], &faults)
		}
		if named != nil {
			directory.all = append(directory.all, named)
			directory.byName[entries[i].peer.Name] = named
		}
	}
	if len(faults.all) > 0 {
		return nil, &fileError{files[0].setting, strings.Join(faults.lines(path), "\n")}
	}
	r.previous = directory
	return directory, nil
}

// known returns the entry of the previous version if it has not changed, or nil.
func (r *pacsReader) known(e *pacsEntry) *namedPACS {
	if r.previous == nil {
		return nil
	}
	if named := r.previous.byName[e.peer.Name]; named != nil && named.entry.equal(e) {
		return named
	}
	return nil
}

// equal reports whether two entries say the same, whatever their lines are.
func (e *pacsEntry) equal(other *pacsEntry) bool {
	if (e.tls == nil) != (other.tls == nil) {
		return false
	}
	if e.tls != nil && (e.tls.ca != other.tls.ca || e.tls.cert != other.tls.cert || e.tls.key != other.tls.key || e.tls.name != other.tls.name) {
		return false
	}
	return reflect.DeepEqual(e.peer, other.peer)
}

func (r *pacsReader) named(e *pacsEntry, faults *pacsFaults) *namedPACS {
	named := &namedPACS{entry: *e}
	peer := e.peer
	named.current.Store(&peer)
	if e.tls == nil {
		return named
	}
	setting := e.peer.Name + ".tls"
	var fault *fileError
	if named.tls, fault = newReloaded(e.tls.parse, e.tls.files(setting)...); fault != nil {
		faults.add(e.tls.line, fault.Error())
		return nil
	}
	named.tls.interval = r.interval
	named.tls.changed = func(fault *fileError) { r.changed(setting, fault) }
	named.peer()
	return named
}

// files returns the files in the order in which parse receives them.
func (t *pacsTLS) files(setting string) []namedFile {
	var files []namedFile
	for _, file := range []namedFile{{setting + ".ca_file", t.ca}, {setting + ".cert_file", t.cert}, {setting + ".key_file", t.key}} {
		if file.path != "" {
			files = append(files, file)
		}
	}
	return files
}

func (t *pacsTLS) parse(files []namedFile, contents [][]byte) (*tls.Config, *fileError) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites, ServerName: t.name}
	if t.ca != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(contents[0]) {
			return nil, files[0].fault(noCertificate)
		}
		files, contents = files[1:], contents[1:]
	}
	if t.cert != "" {
		pair, fault := parseKeyPair(files[0], files[1], contents[0], contents[1])
		if fault != nil {
			return nil, fault
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// PACS returns the named PACS. It is never nil.
func (c *Config) PACS() *PACS { return c.pacs }

// pacsLine matches a fault of the contents of PACS_FILE, without the path.
var pacsLine = regexp.MustCompile(`^:\d+: `)
