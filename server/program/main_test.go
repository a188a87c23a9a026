package program

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sluicehq/sluice/internal/leaktest"
)

// TestMain also makes the program itself available to tests, as the command
// sluice: it is this very binary under another name. So is stubborn.
func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the table of settings in docs/reference.md")
	testscript.Main(leakChecked{m}, map[string]func(){"sluice": Main, "stubborn": stubborn})
}

// noRaceSleep spares each of many short processes the second that the race
// detector waits before it exits.
const noRaceSleep = "atexit_sleep_ms=0"

// leakChecked fails a run that leaves goroutines behind.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	if signal.Ignored(syscall.SIGHUP) { // under nohup, and then by all that tests start
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	return leaktest.Run(m.M)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"serve":  serveInScript,
			"until":  until,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", noRaceSleep)
			return nil
		},
	})
}

// status runs a command that must exit with the given status:
//
//	status 2 sluice --listen x
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status STATUS COMMAND [ARGUMENT...]")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}
