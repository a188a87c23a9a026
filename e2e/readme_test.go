package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// startLine is the first command of the README. The test does not run it as it
// stands, but starts a server with the same flags on a free port.
const startLine = "go run ./server --dev"

// prologue makes a shell in which a README can be run as a whole. It stops at
// the first command that fails.
const prologue = `
set -euo pipefail
curl() { command curl -sS "$@" || test $? -eq 28; }   # -m ends a stream, and is no fault
make() { grep -q "^$1:" "$REPOSITORY/Makefile"; }     # ./sluice is built, and this is a part of make test
go() { test "go $*" = "` + startLine + `"; }          # it runs
python3() { command "${PYTHON:-python3}" "$@"; }      # the one that has requests
`

// TestReadme runs the README from top to bottom.
func TestReadme(t *testing.T) {
	t.Parallel()
	if err := checkReadme(t, start(t), readme(t)); err != nil {
		t.Error(err)
	}
}

func readme(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkReadme runs the commands of a README against a server that has just been
// started, and compares what they print with what it says.
func checkReadme(t testing.TB, s *server, markdown string) error {
	t.Helper()
	run, err := runnables(markdown)
	if err != nil {
		return err
	}
	if len(run) == 0 || !strings.HasPrefix(run[0].text, startLine) {
		return fmt.Errorf("the first block of commands does not begin with %s", startLine)
	}
	if len(run) < 2 {
		return errors.New("there are no commands beside the one that starts the server")
	}
	return checkCommands(t, s, run)
}

// checkCommands runs blocks of commands one after the other, and compares what
// they print with what is said about it. environ is what the reader has set.
func checkCommands(t testing.TB, s *server, run []runnable, environ ...string) error {
	t.Helper()
	printed, err := runShell(t, s, run, environ...)
	if err != nil {
		return err
	}
	var faults []error
	for i, r := range run {
		if err := r.check(printed[i]); err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", r.line, err))
		}
	}
	return errors.Join(faults...)
}

// separator parts what the blocks print.
const separator = "\x1e"

// runShell runs the blocks in one shell, so that variables live on as they do in
// a terminal, and returns what each printed.
func runShell(t testing.TB, s *server, run []runnable, environ ...string) ([]string, error) {
	t.Helper()
	script := prologue
	local := regexp.MustCompile(`\b(127\.0\.0\.1|localhost):8080\b`)
	key := regexp.MustCompile(`\bsk_dev_(…|[0-9a-f]+)`)
	for _, r := range run {
		text := local.ReplaceAllString(r.text, s.address())
		script += "printf '" + separator + "'\n" + key.ReplaceAllString(text, s.key)
	}
	dir := t.TempDir()
	binary, err := exec.LookPath("sluice")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "sluice")); err != nil {
		t.Fatal(err)
	}
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	shell := launch(t, strings.NewReader(""), append(environ, "REPOSITORY="+repository),
		"sh", "-c", `cd "$0"; exec bash -c "$1"`, dir, script)
	code := shell.exitCode(t)
	printed := strings.Split(shell.stdout.String(), separator)[1:]
	if code != 0 {
		last := len(printed) - 1
		return nil, fmt.Errorf("line %d: a command fails with %d: %s%s", run[last].line, code, printed[last], tail(shell.stderr.String(), 1000))
	}
	return printed, nil
}

// check compares what the block printed with what is said about it. curl does
// not fail when it is answered with a problem: one that is not shown is a fault.
func (r runnable) check(printed string) error {
	switch {
	case !r.shown && strings.Contains(printed, `"type":"/problems/`):
		return fmt.Errorf("a command is answered with a problem that the text after it does not show: %s", printed)
	case r.shown && mask(printed) != mask(r.prints):
		return fmt.Errorf("the commands print\n%s\nnot\n%s", mask(printed), mask(r.prints))
	}
	return nil
}

// mask replaces what is another one in every run. Of an id the number stays: it
// counts from the start of the server.
func mask(text string) string {
	for _, m := range []struct{ pattern, with string }{
		{`eyJ[\w-]+\.[\w-]+\.[\w-]+`, "TOKEN"},
		{`sk_dev_(…|[0-9a-f]+)`, "KEY"},
		{`\b(127\.0\.0\.1|localhost):\d+\b`, "ADDRESS"},
		{`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`, "TIME"},
		{`\b[A-Z2-7]{16}([A-Z2-7]{10})?\b`, "RANDOM"},
		{`\b[0-9a-z]{6,8}-(\d+)\b`, "EPOCH-$1"},
	} {
		text = regexp.MustCompile(m.pattern).ReplaceAllString(text, m.with)
	}
	return strings.TrimSpace(text)
}

// TestReadme_definitions starts a server with the definitions in the README.
func TestReadme_definitions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "channels.yaml")
	replace(t, file, []byte(only(t, "yaml").text))
	s := start(t, "--channels="+file)
	s.publish(t, runChannel, "status", `{"message":"fits"}`)
	var p struct{ Type string }
	s.call(t, "POST", "/v1/publish/"+runChannel+"/status", `{"text":"does not"}`, &p)
	if p.Type != "/problems/schema-violation" {
		t.Errorf("the definitions let it through: %+v", p)
	}
}

// only returns the one block of the README in a language.
func only(t testing.TB, lang string) block {
	t.Helper()
	all, err := blocks(readme(t))
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	for _, b := range all {
		if b.lang == lang {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the README has %d blocks of %s, this test knows one", len(found), lang)
	}
	return found[0]
}

// TestReadme_check shows that a README with a fault is found out.
func TestReadme_check(t *testing.T) {
	t.Parallel()
	s := start(t)
	const started = "```sh\n" + startLine + "   # comment\nmake test\n```\nProse.\n"
	const problem = `curl -s "http://127.0.0.1:8080/v1/channels" -H "Authorization: Bearer wrong"`
	for _, tt := range []struct{ name, markdown, fault string }{
		{"good", started + "```sh\necho one\n```\n", ""},
		{"good, with its output", started + "```sh\nA=1\n```\n\n~~~~sh\necho $A\nprintf two\n~~~~\n\n```text\n1\ntwo\n```\n", ""},
		{"good, in a list", started + "- so\n\n  ```sh\n  cat <<X\n    two\n  X\n  ```\n  ```text\n    two\n  ```\n", ""},
		{"good, masked", started + "```sh\necho 127.0.0.1:8080 sk_dev_… abcdefg-12 2026-01-02T03:04:05.678Z\n```\n```text\nlocalhost:1 sk_dev_0f zzzzzz-12 2025-01-02T03:04:05.6Z\n```\n", ""},
		{"good, not run", started + "```sh\ntrue\n```\n```sh no-test: needs Docker\nfalse\n```\n", ""},
		{"good, a stream", started + "```sh\ncurl -sN -m 0.2 http://127.0.0.1:8080/v1/subscribe?channel=a -H 'Authorization: Bearer sk_dev_…' | sed -n 1p\n```\n```text\nretry: 1000\n```\n", ""},
		{"no commands", "# Sluice\n", "does not begin with"},
		{"no start", "```sh\ntrue\n```\n", "does not begin with"},
		{"other start", "```sh\n" + startLine + " --memory 1GiB\n```\n```sh\ntrue\n```\n", "line 1: a command fails"},
		{"only a start", started, "no commands"},
		{"a command fails", started + "```sh\necho one\nfalse\necho two\n```\n", "line 6: a command fails with 1: one\n"},
		{"a part of a pipe fails", started + "```sh\nfalse | true\n```\n", "line 6: a command fails"},
		{"no such command", started + "```sh\n./slouice version\n```\n", "line 6: a command fails with 127"},
		{"no such variable", started + "```sh\necho $SLUICE_URI\n```\n", "line 6: a command fails"},
		{"no such target", started + "```sh\nmake everything\n```\n", "line 6: a command fails"},
		{"other output", started + "```sh\necho one\n```\n```text\ntwo\n```\n", "line 6: the commands print\none\nnot\ntwo"},
		{"less output", started + "```sh\ntrue\n```\n```text\ntwo\n```\n", "line 6: the commands print"},
		{"other number", started + "```sh\necho abcdefg-12\n```\n```text\nabcdefg-13\n```\n", "EPOCH-12"},
		{"a problem in silence", started + "```sh\n" + problem + "\n```\n", "/problems/unauthorized"},
		{"no reason", started + "```sh no-test:\nfalse\n```\n", "line 6: sh stands alone"},
		{"other words", started + "```sh title=x\nfalse\n```\n", "line 6: sh stands alone"},
		{"other shell", started + "```bash\nfalse\n```\n", "line 6: \"bash\""},
		{"no language", started + "```\nfalse\n```\n", "line 6: \"\""},
		{"output of nothing", started + "```text\none\n```\n", "line 6: what is printed"},
		{"output apart", started + "```sh\necho one\n```\nProse.\n```text\none\n```\n", "line 10: what is printed"},
		{"output of what is not run", started + "```sh\ntrue\n```\n```sh no-test: slow\necho 1\n```\n```text\n1\n```\n", "line 12: what is printed"},
		{"no end", started + "```sh\ntrue\n", "line 6: the block has no end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := checkReadme(t, s, tt.markdown)
			switch {
			case tt.fault == "" && err != nil:
				t.Error(err)
			case tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)):
				t.Errorf("the fault is %v, want %q", err, tt.fault)
			}
		})
	}
}
