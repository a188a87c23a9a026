package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// maxExposure is what systemd-analyze may say of the unit, in tenths: 0 is a service that
// can do nothing, 100 one that can do everything.
const maxExposure = "15"

// units puts the units into a directory, with a program that exists.
func units(t *testing.T) (service, socket string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	service, socket = filepath.Join(dir, "sluice.service"), filepath.Join(dir, "sluice.socket")
	text := strings.ReplaceAll(file(t, "systemd/sluice.service"), "/usr/local/bin/sluice", program)
	for path, text := range map[string]string{service: text, socket: file(t, "systemd/sluice.socket")} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return service, socket
}

func analyze(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// systemd-analyze verify finds no fault in the units. What it says of other units of this
// machine does not count.
func TestSystemd_verify(t *testing.T) {
	service, socket := units(t)
	if out := analyze(t, "verify", "--man=no", service, socket); strings.Contains(out, "sluice") {
		t.Error(out)
	}
}

func TestSystemd_security(t *testing.T) {
	service, _ := units(t)
	analyze(t, "security", "--offline=true", "--no-pager", "--threshold="+maxExposure, service)
}

// TestSystemd_times compares the unit with the defaults of the server.
func TestSystemd_times(t *testing.T) {
	unit, reference := file(t, "systemd/sluice.service"), file(t, "../docs/reference.md")
	if !regexp.MustCompile("`--drain-timeout` \\| [^|]+ \\| `20s`").MatchString(reference) {
		t.Error("the drain does not take 20 s by default, as sluice.service says")
	}
	for _, line := range []string{"TimeoutStopSec=30", "Type=notify", "RestartPreventExitStatus=2"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
}
