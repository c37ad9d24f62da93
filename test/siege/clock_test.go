//go:build siege && linux && amd64

package siege

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// The test binary runs a program with a wall clock of its own if programWithItsClock names the program: the clock is set back by an
// hour from the moment at which the file that stepFile names exists.
const (
	programWithItsClock = "SIEGE_PROGRAM"
	stepFile            = "SIEGE_STEP_FILE"
)

func TestWithdrawnKeysEndAlthoughTheClockIsSetBack(t *testing.T) {
	program, err := rig.Binary()
	require.NoError(t, err)
	step := filepath.Join(t.TempDir(), "step")
	t.Setenv(programWithItsClock, program)
	t.Setenv(stepFile, step)
	g := defendWith(t, os.Args[0])
	defer g.Kill()
	idle := listen(t, archive(1))
	a, b := g.caller(keyOfA, addressOfA), g.caller(keyOfB, addressOfB)
	requireQueries(t, a, idle, 3)

	require.NoError(t, os.WriteFile(step, nil, 0o600))
	requireQueries(t, b, idle, 1)
	started := timeOf(t, g.Await(t, rig.Message("listening")))
	eventually(t, func() bool {
		queried := g.Lines(rig.Message("request"))
		return timeOf(t, queried[len(queried)-1]) < started
	}, "the clock of the gateway is set back")

	require.NoError(t, os.WriteFile(g.keys, keyLine("b", keyOfB), 0o600))
	eventually(t, func() bool {
		outcome, _ := a.post(t.Context(), "/q", queryOf(idle))
		return strings.HasPrefix(outcome, "401 ")
	}, "the key is no longer valid")
	requireQueries(t, b, idle, 1)
}

func timeOf(t *testing.T, line rig.Line) string {
	t.Helper()
	var at struct{ Time string }
	require.NoError(t, line.Decode(&at))
	return at.Time
}

// runWithItsClock runs the program under ptrace(2) and returns its exit status. It changes the results of clock_gettime(2) for
// CLOCK_REALTIME, after it has hidden the vDSO, by which the program would read the clock without a system call.
func runWithItsClock(program string) int {
	runtime.LockOSThread() // the thread that starts the program traces it
	command := exec.Command(program)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status, err := trace(command.Process.Pid, os.Getenv(stepFile))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = command.Process.Kill()
		return 1
	}
	return status
}

func trace(pid int, step string) (int, error) {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil { // after execve(2)
		return 0, err
	}
	if err := hideVDSO(pid); err != nil {
		return 0, err
	}
	const exitKill = 0x100000 // PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|exitKill); err != nil {
		return 0, err
	}
	inside := map[int]bool{} // threads within a system call
	for thread, signal := pid, 0; ; {
		// A thread may have been killed in the meantime.
		if err := syscall.PtraceSyscall(thread, signal); err != nil && err != syscall.ESRCH {
			return 0, err
		}
		for {
			var err error
			if thread, err = syscall.Wait4(-1, &status, syscall.WALL, nil); err != nil {
				return 0, err
			}
			if status.Stopped() {
				break
			}
			if thread == pid {
				return status.ExitStatus(), nil
			}
		}
		switch signal = int(status.StopSignal()); signal {
		case int(syscall.SIGTRAP) | 0x80:
			signal = 0
			if inside[thread] = !inside[thread]; !inside[thread] {
				if _, err := os.Stat(step); err == nil {
					setBack(thread)
				}
			}
		case int(syscall.SIGTRAP), int(syscall.SIGSTOP): // a thread has started another, or has started
			signal = 0
		}
	}
}

// hideVDSO removes the address of the vDSO from the auxiliary vector of a program that has not begun.
func hideVDSO(pid int) error {
	const ignore, vdso = 1, 33 // AT_IGNORE, AT_SYSINFO_EHDR
	var registers syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(pid, &registers); err != nil {
		return err
	}
	at := uintptr(registers.Rsp)
	word := func() (uint64, error) {
		var b [8]byte
		_, err := syscall.PtracePeekData(pid, at, b[:])
		at += 8
		return binary.LittleEndian.Uint64(b[:]), err
	}
	if _, err := word(); err != nil { // argc
		return err
	}
	for ends := 0; ends < 2; { // of the arguments and of the environment
		w, err := word()
		if err != nil {
			return err
		}
		if w == 0 {
			ends++
		}
	}
	for {
		switch kind, err := word(); {
		case err != nil || kind == 0:
			return err
		case kind == vdso:
			_, err := syscall.PtracePokeData(pid, at-8, binary.LittleEndian.AppendUint64(nil, ignore))
			return err
		}
		at += 8
	}
}

// setBack sets the clock back by an hour if the system call that ends has read it.
func setBack(thread int) {
	var registers syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(thread, &registers); err != nil {
		return
	}
	if registers.Orig_rax != syscall.SYS_CLOCK_GETTIME || registers.Rdi != 0 { // CLOCK_REALTIME
		return
	}
	var seconds [8]byte
	at := uintptr(registers.Rsi)
	if _, err := syscall.PtracePeekData(thread, at, seconds[:]); err != nil {
		return
	}
	binary.LittleEndian.PutUint64(seconds[:], binary.LittleEndian.Uint64(seconds[:])-3600)
	_, _ = syscall.PtracePokeData(thread, at, seconds[:])
}
