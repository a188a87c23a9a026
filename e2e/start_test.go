package e2e_test

import (
	"strings"
	"testing"
)

// TestStart_refused shows that a server that is set up wrongly does not start,
// and says all that is wrong.
func TestStart_refused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		says []string
	}{
		{"dev for everyone", []string{"--dev", "--listen=0.0.0.0:0"}, []string{`listen`, `"0.0.0.0:0"`, "--dev listens on this machine only"}},
		{"dev on every address", []string{"--dev", "--listen=:0"}, []string{`":0"`, "this machine only", "--dev-allow-hosts"}},
		{"others without dev", []string{"--dev-allow-hosts=sluice"}, []string{"dev-allow-hosts", "requires --dev"}},
		{"no keys", []string{"--listen=127.0.0.1:0"}, []string{"api-keys", "openssl rand", "signing-keys", "sluice keys generate"}},
		{
			"all faults at once",
			[]string{"--listen=nowhere", "--memory=lots", "--heartbeat=1ms", "--tls-cert=/nonexistent/cert.pem"},
			[]string{"nowhere", "lots", "heartbeat", "/nonexistent/cert.pem", "tls-key", "api-keys", "signing-keys"},
		},
		{"no such file", []string{"--dev", "--channels=/nonexistent/channels.yaml"}, []string{"/nonexistent/channels.yaml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := launch(t, nil, nil, "sluice", tt.args...)
			if code := p.exitCode(t); code != 2 {
				t.Errorf("exit status %d, want 2", code)
			}
			for _, text := range tt.says {
				if !strings.Contains(p.stderr.String(), text) {
					t.Errorf("it does not say %q", text)
				}
			}
			if out := p.stdout.String(); out != "" {
				t.Errorf("standard output has %q", out)
			}
		})
	}
}

// TestStart_portTaken shows that a fault of the machine is not one of the
// configuration.
func TestStart_portTaken(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := launch(t, nil, nil, "sluice", "--dev", "--listen="+s.address())
	if code := p.exitCode(t); code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	if text := p.stderr.String(); !strings.Contains(text, s.address()+" is in use") || !strings.Contains(text, "--listen") {
		t.Errorf("it says %q", text)
	}
}
