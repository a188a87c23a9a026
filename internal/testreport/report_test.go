package testreport_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/testreport"
)

// goTestJSON runs the real go test -json over a module with one package for
// each entry of sources and returns its events. The go command's exit code is
// not looked at: some of the packages are meant to fail.
func goTestJSON(t *testing.T, sources map[string]string) []byte {
	t.Helper()
	dir := t.TempDir()
	sources["go.mod"] = "module example.test\n\ngo 1.26\n"
	for name, source := range sources {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out
}

const header = "package p_test\n\nimport \"testing\"\n\n"

func TestWrite(t *testing.T) {
	tests := []struct {
		name   string
		source string
		want   testreport.Counts
		shown  []string
		hidden []string
	}{
		{
			name:   "passing tests are one line",
			source: header + `func TestA(t *testing.T) { t.Log("chatter") }; func TestB(t *testing.T) {}`,
			want:   testreport.Counts{Passed: 2},
			shown:  []string{"ok    example.test/p  "},
			hidden: []string{"chatter", "FAIL"},
		},
		{
			name: "a failure is shown in full, the test beside it not",
			source: header + `func TestA(t *testing.T) { t.Log("chatter") }
				func TestB(t *testing.T) { t.Log("before"); t.Error("the cause") }`,
			want:   testreport.Counts{Passed: 1, Failed: 1},
			shown:  []string{"FAIL  example.test/p", "before", "the cause", "--- FAIL: TestB"},
			hidden: []string{"chatter", "=== RUN"},
		},
		{
			name: "a test with subtests counts through them",
			source: header + `func TestA(t *testing.T) {
				t.Run("one", func(t *testing.T) {})
				t.Run("two", func(t *testing.T) { t.Error("the cause") })
				t.Run("three", func(t *testing.T) { t.Run("deep", func(t *testing.T) {}) })
			}`,
			want:  testreport.Counts{Passed: 2, Failed: 1},
			shown: []string{"the cause", "TestA/two"},
		},
		{
			name: "a test that fails after its subtests passed counts itself",
			source: header + `func TestA(t *testing.T) {
				t.Run("one", func(t *testing.T) {})
				t.Error("the cause")
			}`,
			want:  testreport.Counts{Passed: 1, Failed: 1},
			shown: []string{"the cause"},
		},
		{
			name:   "a skipped test is named with its reason",
			source: header + `func TestA(t *testing.T) { t.Skip("no such kernel") }`,
			want:   testreport.Counts{Skipped: 1},
			shown:  []string{"ok    example.test/p", "skip  TestA", "no such kernel"},
		},
		{
			name:   "a panic fails and is shown",
			source: header + `func TestA(t *testing.T) {}; func TestB(t *testing.T) { panic("the cause") }`,
			want:   testreport.Counts{Passed: 1, Failed: 1},
			shown:  []string{"panic: the cause", "goroutine"},
		},
		{
			name: "a process that dies between tests fails",
			source: "package p_test\n\nimport (\n\"os\"\n\"testing\"\n)\n" +
				`func TestA(t *testing.T) {}; func TestMain(m *testing.M) { m.Run(); println("the cause"); os.Exit(3) }`,
			want:  testreport.Counts{Passed: 1, Failed: 1},
			shown: []string{"FAIL  example.test/p", "the cause"},
		},
		{
			name: "a process that dies within a test shows what that test printed",
			source: "package p_test\n\nimport (\n\"os\"\n\"testing\"\n)\n" +
				`func TestA(t *testing.T) {}; func TestB(t *testing.T) { println("the cause"); os.Exit(3) }`,
			want:  testreport.Counts{Passed: 1, Failed: 1},
			shown: []string{"FAIL  example.test/p", "the cause"},
		},
		{
			name:   "a package that does not build fails with the compiler's words",
			source: header + `func TestA(t *testing.T) { undefinedName() }`,
			want:   testreport.Counts{Failed: 1},
			shown:  []string{"FAIL  example.test/p", "undefined: undefinedName"},
		},
		{
			name:   "a package without tests is named",
			source: "package p_test\n",
			want:   testreport.Counts{},
			shown:  []string{"example.test/p"},
			hidden: []string{"FAIL"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			events := goTestJSON(t, map[string]string{"p/p_test.go": tt.source})
			var report bytes.Buffer
			counts, err := testreport.Write(&report, bytes.NewReader(events))
			if err != nil {
				t.Fatal(err)
			}
			if counts != tt.want {
				t.Errorf("counts: got %v, want %v", counts, tt.want)
			}
			for _, want := range tt.shown {
				if !strings.Contains(report.String(), want) {
					t.Errorf("the report lacks %q", want)
				}
			}
			for _, unwanted := range tt.hidden {
				if strings.Contains(report.String(), unwanted) {
					t.Errorf("the report shows %q", unwanted)
				}
			}
			if t.Failed() {
				t.Logf("report:\n%s\nevents:\n%s", report.String(), events)
			}
		})
	}
}

func TestWrite_otherLinesArePassedOn(t *testing.T) {
	const line = "go: downloading example.test v1.0.0\n"
	var report bytes.Buffer
	if _, err := testreport.Write(&report, strings.NewReader(line)); err != nil {
		t.Fatal(err)
	}
	if report.String() != line {
		t.Errorf("got %q, want %q", report.String(), line)
	}
}

func TestCounts_String(t *testing.T) {
	tests := []struct {
		name   string
		counts testreport.Counts
		want   string
	}{
		{"none", testreport.Counts{}, "0 passed, 0 failed"},
		{"no skipped", testreport.Counts{Passed: 3, Failed: 1}, "3 passed, 1 failed"},
		{"skipped", testreport.Counts{Passed: 3, Skipped: 2}, "3 passed, 0 failed, 2 skipped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.counts.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
