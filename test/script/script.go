//go:build samples || recipes || image

// Package script has what the testscript tests of test/samples, test/recipes and test/image share: commands that run the
// gateway and other programs in the background, that check an exit status, and that read commands out of documents.
//
//	gateway NAME COMMAND [VARIABLE=VALUE...]
//	    Starts the built gateway with that command on a free port and sets $NAME_url and $NAME_address.
//	    With the command demo, it also sets $NAME_pacs to ORTHANCA@HOST:PORT, and $NAME_pacs_port.
//	listening NAME
//	    Waits until the program NAME logs that it listens, and sets the same variables and $NAME_pid.
//	start NAME PROGRAM [ARGUMENT...]
//	    Starts a program in the background, in a process group of its own. Of the variables that the script has set, it gets
//	    only those that exist when the script starts, such as PATH.
//	waitfor [-within=DURATION] NAME TEXT
//	    Waits until the output of a background program contains the text.
//	signal SIGNAL NAME
//	    Sends INT, TERM or KILL to the process group of a background program.
//	ends NAME STATUS
//	    Waits for a background program, requires its exit status, and makes its output available to stdout.
//	exits STATUS PROGRAM [ARGUMENT...]
//	    Runs a program like exec, and requires its exit status.
//	capture NAME
//	    Sets the variable to the standard output of the last program, without white space around it.
//	block DOCUMENTS TEXT FILE
//	    Writes to the file the one code block of the documents, a list of glob patterns, that contains the text.
//	replace FILE OLD NEW [OLD NEW...]
//	    Replaces each old text, which must occur in the file.
//	status STATUS ARGUMENT...
//	    Runs curl with the arguments, and requires the status of the response. It retries while nothing accepts connections.
//	ports NAME...
//	    Sets each variable to a free port.
//
// Programs in the background are stopped at the end of the script.
package script

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dicom-qr-gateway/test/rig"
)

// Function implements a command of a script.
type Function = func(ts *testscript.TestScript, neg bool, args []string)

// Run runs the scripts of a folder with the commands of this package and more of the caller's. It sets $ROOT to the root of
// the repository, and HOME as it is outside of the script. A nil setup does nothing more.
func Run(t *testing.T, dir string, more map[string]Function, setup func(*testscript.Env) error) {
	t.Helper()
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]Function{
		"gateway": startGateway, "listening": listening, "start": start, "waitfor": waitFor, "signal": signal,
		"ends": ends, "exits": exits, "capture": capture, "block": block, "replace": replace, "status": status, "ports": ports,
	}
	maps.Copy(commands, more)
	testscript.Run(t, testscript.Params{
		Dir: dir, Cmds: commands, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("HOME", os.Getenv("HOME"))
			if setup != nil {
				if err := setup(env); err != nil {
					return err
				}
			}
			b := &background{env: slices.Clone(env.Vars), running: map[string]*rig.Process{}}
			env.Values[key{}] = b
			env.Defer(func() { b.stop(env.T()) })
			return nil
		},
	})
}

// key is the key of the script's background programs.
type key struct{}

// background holds the programs that a script has started, by name.
type background struct {
	env     []string
	running map[string]*rig.Process
}

// stop ends all programs, and shows their output if the script has failed.
func (b *background) stop(t testscript.T) {
	for name, p := range b.running {
		p.Stop()
		if tb, ok := t.(testing.TB); ok && tb.Failed() {
			t.Log(fmt.Sprintf("the end of the output of %s:\n%s", name, p.Tail()))
		}
	}
}

func programs(ts *testscript.TestScript) *background { return ts.Value(key{}).(*background) }

// program returns the background program of that name.
func program(ts *testscript.TestScript, name string) *rig.Process {
	p := programs(ts).running[name]
	if p == nil {
		ts.Fatalf("no program %q is started", name)
	}
	return p
}

// require fails the script if a command is negated or has too few arguments.
func require(ts *testscript.TestScript, neg bool, args []string, least int) {
	if neg || len(args) < least {
		ts.Fatalf("wrong use: see the documentation of package script")
	}
}

func launch(ts *testscript.TestScript, name string, c rig.Command) {
	if programs(ts).running[name] != nil {
		ts.Fatalf("a program %q is started already", name)
	}
	c.Dir, c.OnlyEnv = ts.MkAbs("."), true
	var env []string
	for _, variable := range programs(ts).env {
		name, _, _ := strings.Cut(variable, "=")
		env = append(env, name+"="+ts.Getenv(name))
	}
	c.Env = append(env, c.Env...)
	p, err := rig.Start(c)
	ts.Check(err)
	programs(ts).running[name] = p
}

func startGateway(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 2)
	path, err := rig.Binary()
	ts.Check(err)
	launch(ts, args[0], rig.Command{Path: path, Args: args[1:2], Env: append(
		[]string{"LISTEN_ADDR=127.0.0.1:0", "DEMO_PACS_A_ADDR=127.0.0.1:0", "DEMO_PACS_B_ADDR=127.0.0.1:0"}, args[2:]...)})
	listening(ts, false, args[:1])
}

func listening(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 1)
	p := program(ts, args[0])
	line, err := p.Wait(rig.Message("listening"))
	if err != nil {
		ts.Fatalf("%s does not listen: %v\n%s", args[0], err, p.Tail())
	}
	var at struct{ Address string }
	ts.Check(line.Decode(&at))
	ts.Setenv(args[0]+"_pid", strconv.Itoa(p.PID()))
	ts.Setenv(args[0]+"_address", at.Address)
	ts.Setenv(args[0]+"_url", "http://"+at.Address)
	for lines := bufio.NewScanner(strings.NewReader(p.String())); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 2 && fields[0] == "PACS" && fields[1] == "ORTHANCA" {
			_, port, err := net.SplitHostPort(fields[2])
			ts.Check(err)
			ts.Setenv(args[0]+"_pacs", "ORTHANCA@"+fields[2])
			ts.Setenv(args[0]+"_pacs_port", port)
		}
	}
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 2)
	path := args[1]
	if !strings.Contains(path, "/") {
		for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
			if found, err := exec.LookPath(filepath.Join(dir, path)); err == nil {
				path = found
				break
			}
		}
	}
	launch(ts, args[0], rig.Command{Path: path, Args: args[2:]})
}

func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	limit := rig.Patience
	if text, ok := strings.CutPrefix(strings.Join(args[:min(len(args), 1)], ""), "-within="); ok {
		var err error
		limit, err = time.ParseDuration(text)
		ts.Check(err)
		args = args[1:]
	}
	require(ts, neg, args, 2)
	p := program(ts, args[0])
	started := time.Now()
	ts.Check(p.ReadyWithin(max(limit, rig.Patience), func() error {
		found := strings.Contains(p.String(), args[1])
		switch waited := time.Since(started); {
		case found && waited > limit:
			ts.Fatalf("%s: %q comes after %s, want %s", args[0], args[1], waited, limit)
		case !found:
			return fmt.Errorf("no %q in its output", args[1])
		}
		return nil
	}))
}

func signal(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 2)
	s, ok := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[args[0]]
	if !ok {
		ts.Fatalf("unknown signal %q", args[0])
	}
	ts.Check(program(ts, args[1]).SignalGroup(s))
}

func ends(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 2)
	p := program(ts, args[0])
	select {
	case <-p.Ended():
	case <-time.After(rig.Patience):
		ts.Fatalf("%s does not end:\n%s", args[0], p.Tail())
	}
	delete(programs(ts).running, args[0])
	_, err := fmt.Fprint(ts.Stdout(), p.String())
	ts.Check(err)
	checkStatus(ts, args[0], args[1], p.ExitStatus())
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 2)
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	checkStatus(ts, args[1], args[0], got)
}

func checkStatus(ts *testscript.TestScript, name, want string, got int) {
	if want != strconv.Itoa(got) {
		ts.Fatalf("%s: exit status %d, want %s", name, got, want)
	}
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 1)
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

func replace(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 3)
	text := ts.ReadFile(args[0])
	for pair := range slices.Chunk(args[1:], 2) {
		if len(pair) != 2 || !strings.Contains(text, pair[0]) {
			ts.Fatalf("nothing to replace: %q", pair)
		}
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 2)
	const noConnection = 7 // exit status of curl
	for deadline := time.Now().Add(rig.Patience); ; {
		err := ts.Exec("curl", append([]string{"-sS", "--max-time", "20", "-o", "response", "-w", "%{http_code}"}, args[1:]...)...)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == noConnection && time.Now().Before(deadline) {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		ts.Check(err)
		if got := ts.ReadFile("stdout"); got != args[0] {
			ts.Fatalf("status %s, want %s", got, args[0])
		}
		return
	}
}

func ports(ts *testscript.TestScript, neg bool, args []string) {
	require(ts, neg, args, 1)
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners { // all at the end, so that the ports differ
			_ = l.Close()
		}
	}()
	for _, name := range args {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		ts.Check(err)
		listeners = append(listeners, l)
		ts.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
}
