package config

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/server/access"
)

// The limits of PACS_FILE.
const (
	maxPACS            = 256
	maxDescription     = 200
	maxPACSLimit       = 1000 // of max_associations and max_retrievals
	maxPACSList        = 64   // of AE titles, of addresses and of attributes
	defaultRetrievals  = 2
	beyondAssociations = "is more than max_associations"
)

const wantPACSName = "want 1 to 63 lower-case letters, digits and hyphens, the first one no hyphen"

// pacsEntry is one entry of PACS_FILE, with the line at which it begins.
type pacsEntry struct {
	line int
	peer pool.Peer // without TLS files
	tls  *pacsTLS  // nil: none of its own
}

// pacsTLS are the TLS files of an entry; an empty path: none.
type pacsTLS struct {
	line                int
	ca, cert, key, name string
}

// readPACSFile reads the entries of the file at path, in their order. defaults are the settings of a PACS that has none of its own.
func readPACSFile(path string, contents []byte, defaults *pacsDefaults, faults *pacsFaults) []pacsEntry {
	root := parseYAML(contents, faults)
	if root == nil {
		return nil
	}
	var entries []pacsEntry
	yamlValue{node: root, faults: faults}.fields(map[string]func(yamlValue){"pacs": func(v yamlValue) {
		v.name = ""
		v.each("pacs: want a mapping of names", func(name string, at *yaml.Node, member yamlValue) {
			key := member
			key.node = at
			if !access.ValidPACSName(name) || !slices.Contains([]string{"!!str", "!!int"}, at.ShortTag()) {
				key.fail(wantPACSName)
				return
			}
			entry := readPACS(member, filepath.Dir(path), defaults)
			entry.line, entry.peer.Name = at.Line, name
			entry.peer.Settings.Entry = member.textWithout("profile")
			entries = append(entries, entry)
		})
		if len(entries) > maxPACS {
			v.faults.add(v.line, "pacs: want at most 256 PACS")
		}
	}}, "pacs")
	if len(entries) == 0 && len(faults.all) == 0 {
		faults.add(root.Line, "pacs: want at least one PACS")
	}
	return entries
}

// readPACS reads one entry. Paths in it are relative to directory.
func readPACS(v yamlValue, directory string, defaults *pacsDefaults) pacsEntry {
	e := pacsEntry{}
	s := defaults.settings()
	p := &e.peer
	p.Settings = s
	var retrievals, reserved yamlValue
	moveSet, dimseSet := false, false
	v.fields(map[string]func(yamlValue){
		"description":      func(v yamlValue) { s.Description = v.text("want a line of 1 to 200 characters", validDescription) },
		"host":             func(v yamlValue) { p.Host = v.text("want a host name, an IPv4 or an IPv6 address", pool.ValidHost) },
		"port":             func(v yamlValue) { p.Port = v.integer(1, 65535) },
		"ae_title":         func(v yamlValue) { p.CalledAETitle = v.aeTitle() },
		"calling_ae_title": func(v yamlValue) { p.CallingAETitle = v.aeTitle() },
		"tls":              func(v yamlValue) { p.TLS, e.tls = readPACSTLS(v, directory) },
		"max_associations": func(v yamlValue) { s.MaxAssociations = v.integer(1, maxPACSLimit) },
		"reserved_associations": func(v yamlValue) {
			reserved, s.ReservedAssociations = v, v.integer(0, maxPACSLimit)
		},
		"association_idle": func(v yamlValue) { s.AssociationIdle = v.seconds(false) },
		"timeouts": func(v yamlValue) {
			t := &s.Timeouts
			v.fields(map[string]func(yamlValue){
				"connection": func(v yamlValue) { t.Connection = v.seconds(true) },
				"acse":       func(v yamlValue) { t.ACSE = v.seconds(true) },
				"dimse":      func(v yamlValue) { t.DIMSE, dimseSet = v.seconds(true), true },
				"move":       func(v yamlValue) { t.Move, moveSet = v.seconds(true), true },
				"network":    func(v yamlValue) { t.Network = v.seconds(true) },
			})
		},
		"default_character_set": func(v yamlValue) {
			v.text("want a defined term of Specific Character Set, such as ISO_IR 100", func(term string) (known bool) {
				s.DefaultCharacterSet, known = dataset.LookupCharacterSet(term)
				return known
			})
		},
		"model": func(v yamlValue) { s.PatientRoot = v.choice("study", "patient") == "patient" },
		"retrieve": func(v yamlValue) {
			s.Retrieve = pool.RetrieveMethod(v.choice("auto", "get", "move"))
			if s.Retrieve == pool.RetrieveMove && !defaults.storage {
				v.fail("needs the storage SCP, set STORE_LISTEN_ADDR")
			}
		},
		"max_retrievals": func(v yamlValue) {
			retrievals, s.MaxRetrievals = v, v.integer(1, maxPACSLimit)
		},
		"move_destinations": func(v yamlValue) {
			s.MoveDestinations = v.aeTitles()
			if len(defaults.storeTitles) > 0 && !containsAll(defaults.storeTitles, s.MoveDestinations) {
				v.fail("has an AE title that is not in STORE_AE_TITLES")
			}
		},
		"store_from":              func(v yamlValue) { s.StoreFrom = v.prefixes() },
		"store_calling_ae_titles": func(v yamlValue) { s.StoreCallingAETitles = v.aeTitles() },
		"profile":                 func(v yamlValue) { s.Profile = readProfile(v) },
	}, "host", "port", "ae_title", "calling_ae_title")
	switch {
	case retrievals.node == nil:
		s.MaxRetrievals = min(defaultRetrievals, max(s.MaxAssociations, 1))
	case s.MaxRetrievals > 0 && s.MaxAssociations > 0 && s.MaxRetrievals > s.MaxAssociations:
		retrievals.fail(beyondAssociations)
	}
	switch {
	case reserved.node == nil:
		s.ReservedAssociations = defaultReserved(s.MaxAssociations)
	case s.MaxAssociations > 0 && s.ReservedAssociations > s.MaxAssociations:
		reserved.fail(beyondAssociations)
	}
	if len(s.StoreCallingAETitles) == 0 {
		s.StoreCallingAETitles = []string{p.CalledAETitle}
	}
	if dimseSet && !moveSet && !defaults.moveTimeoutSet {
		s.Timeouts.Move = s.Timeouts.DIMSE
	}
	return e
}

func readPACSTLS(v yamlValue, directory string) (on bool, own *pacsTLS) {
	if v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!bool" {
		return v.boolean(), nil
	}
	if v.node.Kind != yaml.MappingNode {
		v.usable(yaml.MappingNode, "want true, false or a mapping")
		return false, nil
	}
	own = &pacsTLS{line: v.node.Line}
	file := func(to *string) func(yamlValue) {
		return func(v yamlValue) {
			if *to = v.text("want the path of a file", validPath); *to != "" && !filepath.IsAbs(*to) {
				*to = filepath.Join(directory, *to)
			}
		}
	}
	before := len(v.faults.all)
	v.fields(map[string]func(yamlValue){
		"ca_file": file(&own.ca), "cert_file": file(&own.cert), "key_file": file(&own.key),
		"server_name": func(v yamlValue) { own.name = v.text("want a host name, an IPv4 or an IPv6 address", pool.ValidHost) },
	})
	if len(v.faults.all) == before && (own.cert == "") != (own.key == "") {
		v.fail("want cert_file and key_file together")
	}
	if len(v.faults.all) > before {
		return true, nil
	}
	return true, own
}

func readProfile(v yamlValue) pool.Profile {
	p := pool.Profile{Known: true}
	v.fields(map[string]func(yamlValue){
		"relational_queries": func(v yamlValue) { p.RelationalQueries = v.boolean() },
		"image_level_find":   func(v yamlValue) { p.ImageLevelFind = v.boolean() },
		"uid_lists":          func(v yamlValue) { p.UIDLists = v.boolean() },
		"study_keys": func(v yamlValue) {
			if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
				return // a PACS may support none
			}
			known := func(keyword string) bool {
				_, ok := dataset.LookupKeyword(keyword)
				return ok
			}
			p.StudyKeys = pool.StudyKeys(v.list(maxPACSList, "want keywords of PS3.6, such as ModalitiesInStudy", known)...)
		},
	})
	return p
}

const wantAETitle = "want an AE title: 1 to 16 characters of ASCII, no backslash, not only spaces"

func (v yamlValue) aeTitle() string {
	return strings.Trim(v.text(wantAETitle, dicomnet.ValidAETitle), " ")
}

func (v yamlValue) aeTitles() []string {
	titles := v.list(maxPACSList, wantAETitle, dicomnet.ValidAETitle)
	for i := range titles {
		titles[i] = strings.Trim(titles[i], " ")
	}
	return titles
}

func (v yamlValue) prefixes() []netip.Prefix {
	var all []netip.Prefix
	v.list(maxPACSList, "want addresses or CIDR blocks", func(s string) bool {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			address, err := netip.ParseAddr(s)
			if err != nil || address.Zone() != "" {
				return false
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		// Bits beyond the prefix are a mistake either in the address or in the length.
		if prefix.Addr().Is4In6() || prefix.Masked() != prefix {
			return false
		}
		all = append(all, prefix)
		return true
	})
	return all
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

func validDescription(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxDescription && strings.TrimSpace(s) != "" &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func validPath(s string) bool { return s != "" && !strings.ContainsFunc(s, unicode.IsControl) }
