package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
)

const everything = `# comment
pacs:
  main:
    description: Radiology archive
    host: pacs.hospital.example
    port: 11112
    ae_title: PACS
    calling_ae_title: GATEWAY
    tls: false
    max_associations: 10
    reserved_associations: 2
    association_idle: 30
    timeouts: { connection: 1, acse: 2, dimse: 3, move: 1m30s, network: 0.5 }
    default_character_set: ISO_IR 100
    model: patient
    retrieve: get
    max_retrievals: 3
    move_destinations: [GATEWAY, GATEWAY2]
    store_from: [10.20.0.0/24, "2001:db8::1"]
    store_calling_ae_titles: [PACS, STORE]
    profile:
      relational_queries: false
      image_level_find: true
      uid_lists: false
      study_keys: [ModalitiesInStudy, NumberOfStudyRelatedInstances]
  second-1:
    host: 192.0.2.7
    port: 104
    ae_title: " OTHER "
    calling_ae_title: GATEWAY
`

func pacsFile(t *testing.T, contents string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pacs.yaml")
	require.NoError(t, os.WriteFile(path, []byte(contents), 0o600))
	return path
}

func TestPACSFileDescribesEveryPACS(t *testing.T) {
	c := load(t, "PACS_FILE", pacsFile(t, everything), "DIMSE_TIMEOUT", "20", "ASSOCIATION_IDLE", "5", "MAX_ASSOCIATIONS_PER_PACS", "1")
	latin1, _ := dataset.LookupCharacterSet("ISO_IR 100")
	main, ok := c.PACS().Lookup("main")
	require.True(t, ok)
	assert.Equal(t, "description: Radiology archive\n", main.Settings.Entry[:31], "what POST /echo repeats")
	assert.NotContains(t, main.Settings.Entry, "profile")
	main.Settings.Entry = ""
	assert.Equal(t, pool.Peer{
		Name: "main", Host: "pacs.hospital.example", Port: 11112, CalledAETitle: "PACS", CallingAETitle: "GATEWAY",
		Settings: &pool.Settings{
			Description: "Radiology archive",
			Timeouts: dicomnet.Timeouts{
				Connection: time.Second, ACSE: 2 * time.Second, DIMSE: 3 * time.Second, Move: 90 * time.Second, Network: time.Second / 2,
			},
			MaxAssociations: 10, ReservedAssociations: 2, AssociationIdle: 30 * time.Second, DefaultCharacterSet: latin1, PatientRoot: true,
			Retrieve: pool.RetrieveGet, MaxRetrievals: 3, MoveDestinations: []string{"GATEWAY", "GATEWAY2"},
			StoreFrom:            []netip.Prefix{netip.MustParsePrefix("10.20.0.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
			StoreCallingAETitles: []string{"PACS", "STORE"},
			Profile: pool.Profile{
				Known: true, ImageLevelFind: true,
				StudyKeys: []dataset.Tag{dataset.ModalitiesInStudy, {Group: 0x20, Element: 0x1208}},
			},
		},
	}, main)
	second, ok := c.PACS().Lookup("second-1")
	require.True(t, ok)
	assert.Equal(t, "host: 192.0.2.7\nport: 104\nae_title: \" OTHER \"\ncalling_ae_title: GATEWAY\n", second.Settings.Entry)
	second.Settings.Entry = ""
	assert.Equal(t, pool.Peer{
		Name: "second-1", Host: "192.0.2.7", Port: 104, CalledAETitle: "OTHER", CallingAETitle: "GATEWAY",
		Settings: &pool.Settings{
			Timeouts: c.Pool().Timeouts, MaxAssociations: 1, AssociationIdle: 5 * time.Second, Retrieve: pool.RetrieveAuto,
			MaxRetrievals: 1, StoreCallingAETitles: []string{"OTHER"},
		},
	}, second)
	assert.Equal(t, 20*time.Second, second.Settings.Timeouts.Move)
	assert.Equal(t, []pool.Peer{main, second}, c.PACS().List())
	_, ok = c.PACS().Lookup("third")
	assert.False(t, ok)
}

func TestMoveTimeoutOfAPACSFollowsItsDIMSETimeoutUnlessItIsSet(t *testing.T) {
	entry := "pacs:\n  a: {host: h, port: 1, ae_title: A, calling_ae_title: B, timeouts: {dimse: 40}}\n"
	move := func(variables ...string) time.Duration {
		c := load(t, append(variables, "PACS_FILE", pacsFile(t, entry))...)
		a, _ := c.PACS().Lookup("a")
		return a.Settings.Timeouts.Move
	}
	assert.Equal(t, 40*time.Second, move())
	assert.Equal(t, 300*time.Second, move("MOVE_TIMEOUT", "300"))
}

// with returns an entry with further lines.
func with(lines ...string) string {
	return "pacs:\n  a:\n    host: h\n    port: 1\n    ae_title: A\n    calling_ae_title: B\n    " + strings.Join(lines, "\n    ") + "\n"
}

func TestFaultsOfAPACSFileHaveTheirLines(t *testing.T) {
	deep := strings.Repeat("[", 2000)
	for contents, want := range map[string]string{
		"":                                       "1: the file is empty",
		"# nothing\n":                            "1: the file is empty",
		"pacs":                                   "1: want a mapping",
		"pacs:\n":                                "1: pacs: want a mapping of names",
		"pacs: {}\n":                             "1: pacs: want at least one PACS",
		"\n\nPACS: {}\n":                         "3: PACS: is not a field, did you mean pacs?\n3: pacs is required",
		"pacs: {}\n---\na: 1\n":                  "2: is a second YAML document, want one",
		"pacs:\n  a: [\n":                        "2: is not valid YAML: did not find expected node content",
		"pacs:\n\ta: 1\n":                        "2: is not valid YAML: found character that cannot start any token",
		deep:                                     "1: is nested too deeply",
		strings.Repeat("#", 2<<20):               "1: the file is larger than 1 MiB",
		"pacs:\n  Main: {}\n":                    "2: Main: " + wantPACSName,
		"pacs:\n  -a: {}\n":                      "2: -a: " + wantPACSName,
		"pacs:\n  ~: {}\n":                       "2: ~: " + wantPACSName,
		"pacs:\n  ? [a]\n  : {}\n":               "2: want names as the keys of this mapping",
		"pacs:\n  a:\n":                          "2: a: want a mapping",
		"pacs:\n  a: {host: h}\n":                "2: a: port is required\n2: a: ae_title is required\n2: a: calling_ae_title is required",
		with() + "  a: {}\n":                     "8: a is given more than once, first in line 2",
		with("port: 2"):                          "7: a: port is given more than once, first in line 4",
		with("prot: 104"):                        "7: a.prot: is not a field, did you mean port?",
		with("xyzzy-secret: 104"):                "7: a.xyzzy-secret: is not a field",
		with("<<: {port: 1}"):                    "7: a.<<: is not a field",
		with("description: ''"):                  "7: a.description: want a line of 1 to 200 characters",
		with(`description: "a\nb"`):              "7: a.description: want a line of 1 to 200 characters",
		with("description: 7"):                   "7: a.description: want a line of 1 to 200 characters, in quotes if it looks like a number, a date or a boolean",
		with("description: null"):                "7: a.description: want a line of 1 to 200 characters",
		with("tls: yes please"):                  "7: a.tls: want true, false or a mapping",
		with("tls: 1"):                           "7: a.tls: want true, false or a mapping",
		with("tls: {cert_file: x}"):              "7: a.tls: want cert_file and key_file together",
		with("tls: {ca_file: 7}"):                "7: a.tls.ca_file: want the path of a file, in quotes if it looks like a number, a date or a boolean",
		with("tls: {server_name: 1.2}"):          "7: a.tls.server_name: want a host name, an IPv4 or an IPv6 address, in quotes if it looks like a number, a date or a boolean",
		with("max_associations: 0"):              "7: a.max_associations: want an integer from 1 to 1000",
		with("max_associations: 1.5"):            "7: a.max_associations: want an integer from 1 to 1000",
		with("max_associations: '7'"):            "7: a.max_associations: want an integer from 1 to 1000",
		with("association_idle: -1"):             "7: a.association_idle: want seconds, 0 to 1000000, or a duration such as 500ms or 1m30s",
		with("timeouts: {move: 0}"):              "7: a.timeouts.move: want more than 0 seconds, up to 1000000, or a duration such as 500ms or 1m30s",
		with("timeouts:", "  mvoe: 1"):           "8: a.timeouts.mvoe: is not a field, did you mean move?",
		with("timeouts: []"):                     "7: a.timeouts: want a mapping",
		with("default_character_set: x"):         "7: a.default_character_set: want a defined term of Specific Character Set, such as ISO_IR 100",
		with("model: both"):                      "7: a.model: want study or patient",
		with("retrieve: push"):                   "7: a.retrieve: want auto, get or move",
		with("max_retrievals: 11"):               "7: a.max_retrievals: is more than max_associations",
		with("reserved_associations: 11"):        "7: a.reserved_associations: is more than max_associations",
		with("reserved_associations: -1"):        "7: a.reserved_associations: want an integer from 0 to 1000",
		with("move_destinations: X"):             "7: a.move_destinations: want a list of 1 to 64",
		with("move_destinations: []"):            "7: a.move_destinations: want a list of 1 to 64",
		with(`move_destinations: ['\']`):         "7: a.move_destinations: " + wantAETitle,
		with("move_destinations:", "- X", "- X"): "9: a.move_destinations: is in the list more than once",
		with("store_from: [10.0.0.1/24]"):        "7: a.store_from: want addresses or CIDR blocks",
		with("store_from: [pacs.example]"):       "7: a.store_from: want addresses or CIDR blocks",
		with("store_calling_ae_titles: ['12345678901234567']"): "7: a.store_calling_ae_titles: " + wantAETitle,
		with("profile: true"):                       "7: a.profile: want a mapping",
		with("profile: {uid_lists: 1}"):             "7: a.profile.uid_lists: want true or false",
		with("profile: {study_keys: [modalities]}"): "7: a.profile.study_keys: want keywords of PS3.6, such as ModalitiesInStudy",
		with("description: &x y"):                   "7: a.description: anchors and aliases are not supported",
		"pacs:\n  a: {host: '-', port: 65536, ae_title: '', calling_ae_title: 1}\n": "2: a.host: want a host name, an IPv4 or an IPv6 address\n" +
			"2: a.port: want an integer from 1 to 65535\n2: a.ae_title: " + wantAETitle + "\n2: a.calling_ae_title: " + wantAETitle +
			", in quotes if it looks like a number, a date or a boolean",
	} {
		path := pacsFile(t, contents)
		_, err := Load(environment("PACS_FILE", path))
		var faults *FaultsError
		require.ErrorAs(t, err, &faults, contents)
		var lines []string
		for line := range strings.SplitSeq(want, "\n") {
			lines = append(lines, path+":"+line)
		}
		assert.Equal(t, lines, faults.Lines, contents)
	}
}

func TestFaultsOfAPACSFileAreReportedUpToALimit(t *testing.T) {
	var b strings.Builder
	b.WriteString("pacs:\n")
	for i := range 300 {
		fmt.Fprintf(&b, "  a%d: {host: h, port: 0, ae_title: A, calling_ae_title: B}\n", i)
	}
	path := pacsFile(t, b.String())
	_, err := Load(environment("PACS_FILE", path))
	var faults *FaultsError
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults.Lines, maxPACSFaults+1)
	assert.Contains(t, faults.Lines, path+":1: pacs: want at most 256 PACS")
	assert.Equal(t, path+": 201 more faults", faults.Lines[maxPACSFaults])
}

func TestAFileThatIsNotThereIsAFault(t *testing.T) {
	_, err := Load(environment("PACS_FILE", "/none/pacs.yaml", "ACSE_TIMEOUT", "soon"))
	var faults *FaultsError
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults.Lines, 2)
	assert.Equal(t, "PACS_FILE: /none/pacs.yaml: no such file or directory", faults.Lines[1])
}
