//go:build unix

package documents

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// elsewhere lists the commands that these tests do not run, by a part of each, and says why.
var elsewhere = map[string]string{
	"make run\n":               "test/recipes runs it on free ports",
	"docker build ":            "needs Docker; test/image builds the image with buildah and runs it with demo",
	"key=$(openssl rand -hex ": "needs openssl; test/recipes runs it and calls a gateway with the key",
	"make bench-load ":         "takes minutes; .ci/run runs it for a second",
}

const apiKey = "a long random value"

// TestExamplesGiveTheAnswersShown runs each command of README.md and docs/ against the demonstration and compares the
// answer with the one below the command.
func TestExamplesGiveTheAnswersShown(t *testing.T) {
	open := runDemo(t)
	guarded := runDemo(t, "API_KEYS_FILE="+writeKeys(t))
	listed := map[string]bool{}
	for _, d := range pages(t) {
		for i, example := range d.Examples() {
			if part := listedElsewhere(example.Command); part != "" {
				assert.False(t, listed[part], "more than one command has %q", part)
				listed[part] = true
				continue
			}
			t.Run(fmt.Sprintf("%s/%d %s", d.Path, i+1, example.Section), func(t *testing.T) {
				switch {
				case strings.HasPrefix(example.Command, "curl ") && strings.Contains(example.Command, "$key"):
					requireAnswer(t, guarded, example)
				case strings.HasPrefix(example.Command, "curl "):
					requireAnswer(t, open, example)
				default:
					requireStart(t, example)
				}
			})
		}
	}
	for part := range elsewhere {
		assert.True(t, listed[part], "no document has the command %q", part)
	}
	requireLogIsDocumented(t, open)
	requireLogIsDocumented(t, guarded)
}

// requireLogIsDocumented compares the lines of the log with the table in docs/operations.md: those at level info, and those of
// operations that failed.
func requireLogIsDocumented(t *testing.T, d demonstration) {
	t.Helper()
	rows := table(t, read(t, "docs/operations.md"), "Logs")
	lines := d.Lines(nil)
	require.Greater(t, len(lines), 3)
	for _, line := range lines {
		var fields map[string]any
		require.NoError(t, line.Decode(&fields))
		if fields["level"] != "info" && line.Message != "request" && line.Message != "failed" {
			continue
		}
		cells, ok := rows[line.Message]
		if !assert.True(t, ok, line.Text) {
			continue
		}
		documented := append(names(cells[2]), "level", "time", "message", "correlation_id")
		for name := range fields {
			assert.Contains(t, documented, name, "a field of %q", line.Message)
		}
	}
}

func listedElsewhere(command string) string {
	for part := range elsewhere {
		if strings.Contains(command, part) {
			return part
		}
	}
	return ""
}

// demonstration is a gateway with the demonstration PACS.
type demonstration struct {
	*rig.Gateway
	port string // of ORTHANCA
	// variables are those of the shell, and files by their names with an @ before them.
	variables map[string]string
}

func runDemo(t *testing.T, env ...string) demonstration {
	t.Helper()
	g := rig.RunGateway(t, rig.Command{Args: []string{"demo"}, OnlyEnv: true, Env: append(env,
		"LISTEN_ADDR=127.0.0.1:0", "DEMO_PACS_A_ADDR=127.0.0.1:0", "DEMO_PACS_B_ADDR=127.0.0.1:0")})
	address := regexp.MustCompile(`PACS ORTHANCA +(\S+)`).FindStringSubmatch(g.String())
	require.NotNil(t, address, g.Tail())
	_, port, err := net.SplitHostPort(address[1])
	require.NoError(t, err)
	return demonstration{g, port, map[string]string{
		"key": apiKey, "@studies.csv": read(t, "docs/batches.md").Block("File a list", "csv"),
	}}
}

func writeKeys(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "worklist:%x\n", sha256.Sum256([]byte(apiKey))), 0o600))
	return path
}

// send sends the request of a curl command to the demonstration.
func send(ctx context.Context, t *testing.T, d demonstration, command string, header http.Header) *http.Response {
	t.Helper()
	command = strings.NewReplacer("http://localhost:8888", d.URL, `"pacs_port": 4242,`, `"pacs_port": `+d.port+`,`).Replace(command)
	r, err := request(ctx, command, d.variables)
	require.NoError(t, err)
	for name := range header {
		r.Header.Set(name, header.Get(name))
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	return response
}

func requireAnswer(t *testing.T, d demonstration, example Example) {
	t.Helper()
	ctx, disconnect := context.WithCancel(t.Context())
	defer disconnect()
	response := send(ctx, t, d, example.Command, nil)
	defer func() { _ = response.Body.Close() }()
	if response.Header.Get("Content-Type") == "application/zip" {
		requireArchive(t, example.Answer, response.Body)
		return
	}
	if example.Kind == "text" {
		requireStream(t, example.Answer, response.Body)
		return
	}
	got, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if example.Kind == "" {
		require.Equal(t, http.StatusOK, response.StatusCode/100*100, string(got))
		return
	}
	if example.Kind == "csv" {
		require.Equal(t, example.Answer, strings.ReplaceAll(string(got), "\r\n", "\n"))
		return
	}
	require.Equal(t, statusOf(t, example.Answer), response.StatusCode, string(got))
	var filed struct{ Job string }
	if json.Unmarshal(got, &filed) == nil && filed.Job != "" {
		d.variables["job"] = filed.Job // for the commands that follow
	}
	answer := strings.NewReplacer("127.0.0.1:"+d.port, "127.0.0.1:4242", d.URL, "http://localhost:8888").Replace(strings.TrimSpace(string(got)))
	require.Equal(t, Steady(compact(t, example.Answer)), Steady(answer), "byte for byte, except white space")
}

// requireArchive compares the names of the files of an archive with those shown.
func requireArchive(t *testing.T, shown string, archive io.Reader) {
	t.Helper()
	b, err := io.ReadAll(archive)
	require.NoError(t, err)
	files, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	var names []string
	for _, file := range files.File {
		names = append(names, file.Name)
	}
	require.Equal(t, strings.Fields(shown), names)
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Compact(&b, []byte(text)))
	return b.String()
}

// statusOf returns the HTTP status of an answer: a problem has its own. That of a search is a list.
func statusOf(t *testing.T, answer string) int {
	t.Helper()
	if strings.HasPrefix(answer, "[") {
		return http.StatusOK
	}
	var shown struct {
		Status any
		State  string
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &shown))
	if shown.State == "queued" { // a job that was filed
		return http.StatusAccepted
	}
	switch status := shown.Status.(type) {
	case nil:
		return http.StatusOK
	case float64:
		return int(status)
	case string:
		return map[string]int{"ok": http.StatusOK, "partial": http.StatusMultiStatus}[status]
	}
	return 0
}

// requireStream compares an event stream with the one shown, in which … stands for any text. If curl ends the one shown,
// the rest of the stream is not read.
func requireStream(t *testing.T, shown string, stream io.Reader) {
	t.Helper()
	lines := bufio.NewScanner(stream)
	for want := range strings.Lines(shown) {
		if strings.HasPrefix(want, "curl: ") {
			return
		}
		require.True(t, lines.Scan(), "%v instead of %s", lines.Err(), want)
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSuffix(want, "\n")), "…", ".*")
		require.Regexp(t, "^"+pattern+"$", lines.Text())
	}
	require.False(t, lines.Scan(), "more than shown: %s", lines.Text())
	require.NoError(t, lines.Err())
}

// requireStart runs the gateway as a command does, on a free port.
func requireStart(t *testing.T, example Example) {
	t.Helper()
	args, err := words(strings.ReplaceAll(example.Command, "127.0.0.1:6000", "127.0.0.1:0"), nil)
	require.NoError(t, err)
	var env []string
	for strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	require.Equal(t, "bin/dicom-qr-gateway", args[0], "a command that is neither run here nor listed")
	if args[1] == "check" {
		for i := range env { // files that a document names
			env[i] = strings.Replace(env[i], "PACS_FILE=", "PACS_FILE=testdata/", 1)
		}
		requireCheck(t, args[1:], env, example.Answer)
		return
	}
	rig.RunGateway(t, rig.Command{Args: args[1:], OnlyEnv: true, Env: env})
}

// requireCheck runs the command check and compares its output with the one that the document shows.
func requireCheck(t *testing.T, args, env []string, shown string) {
	t.Helper()
	path, err := rig.Binary()
	require.NoError(t, err)
	check, err := rig.Start(rig.Command{Path: path, Args: args, Env: env, OnlyEnv: true})
	require.NoError(t, err)
	defer check.Kill()
	status := 1
	if strings.HasPrefix(shown, "The settings are valid.\n") {
		status = 0
	}
	assert.Equal(t, status, check.ExitStatus())
	assert.Equal(t, shown, strings.ReplaceAll(check.String(), "testdata/", ""))
}

func TestFilesOfSettingsAreValid(t *testing.T) {
	shown := filepath.Join(t.TempDir(), "gateway.env")
	require.NoError(t, os.WriteFile(shown, []byte(read(t, "docs/settings.md").Block("Files of settings", "ini")), 0o600))
	root, err := rig.Root()
	require.NoError(t, err)
	const valid = "The settings are valid.\n"
	requireCheck(t, []string{"check", "--env-file", shown}, []string{"AUDIT_LOG=stdout"}, valid) // the folder of the log does not exist here
	kubernetes := filepath.Join(root, "samples", "kubernetes")
	requireCheck(t, []string{"check", "--env-file=" + filepath.Join(kubernetes, "settings.env")},
		[]string{"PACS_FILE=" + filepath.Join(kubernetes, "pacs.yaml")},
		valid+"PACS main: PACS at 192.0.2.10:104, called by GATEWAY, without a profile\n")
}

// The variables of Go, which it reads itself before the file, work in a file of settings too.
func TestTimeZoneOfAFileOfSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.env")
	require.NoError(t, os.WriteFile(file, []byte("TZ=Asia/Kathmandu\nLISTEN_ADDR=127.0.0.1:0\n"), 0o600))
	g := rig.RunGateway(t, rig.Command{Args: []string{"serve", "--env-file", file}, OnlyEnv: true})
	var listening struct{ Time string }
	require.NoError(t, g.Await(t, rig.Message("listening")).Decode(&listening))
	assert.Contains(t, listening.Time, "+05:45")
}

// TestAuditRecordIsAsShown sends the first query of README.md with an API key and compares the record that it leaves with
// the one in docs/operations.md.
func TestAuditRecordIsAsShown(t *testing.T) {
	shown := read(t, "docs/operations.md").Block("Audit trail", "json")
	require.NotEmpty(t, shown)
	var query string
	for _, example := range read(t, "README.md").Examples() {
		if strings.Contains(example.Command, "/q ") {
			query = example.Command
			break
		}
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	d := runDemo(t, "API_KEYS_FILE="+writeKeys(t), "AUDIT_LOG="+path)
	response := send(t.Context(), t, d, query, http.Header{
		"Authorization": {"Bearer " + apiKey}, "X-Correlation-Id": {"order-4711"},
	})
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	written, err := os.ReadFile(path)
	require.NoError(t, err)
	record := strings.Split(string(written), "\n")[1]
	host, err := os.Hostname()
	require.NoError(t, err)
	record = strings.NewReplacer(
		strconv.Quote(host), `"gateway-1"`, strconv.Quote(strconv.Itoa(d.PID())), `"1"`, "127.0.0.1:"+d.port, "127.0.0.1:4242",
	).Replace(record)
	record = regexp.MustCompile(`"EventDateTime":"[^"]*"`).ReplaceAllString(record, `"EventDateTime":"2026-01-31T12:00:00.123Z"`)
	require.Equal(t, compact(t, shown), record, "byte for byte, except white space")
}
