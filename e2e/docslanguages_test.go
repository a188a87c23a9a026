package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// languages are those of programs that a page shows and its commands run: each is
// a file, which the comment in its first line names, after PHP's own opening tag.
func languages() []string { return []string{"python", "php", "ruby"} }

// asCommands makes of a program in one of the languages the command that writes
// its file, and leaves other blocks alone.
func asCommands(b block) (block, error) {
	if !slices.Contains(languages(), b.lang) {
		return b, nil
	}
	name := fileOf(b)
	if name == "" {
		return b, fmt.Errorf("line %d: the first line of the program does not name its file", b.line)
	}
	b.text = fmt.Sprintf("cat > %s <<'END OF FILE'\n%sEND OF FILE\n", name, b.text)
	b.lang = "sh"
	return b, nil
}

// fileOf returns the name in the first line of a program.
func fileOf(b block) string {
	found := regexp.MustCompile(`\A(?:<\?php\n)?(?:#|//) ([\w-]+\.\w+)\n`).FindStringSubmatch(b.text)
	if found == nil {
		return ""
	}
	return found[1]
}

// interpreters returns the commands that run programs in the languages of a page.
// The test is skipped if one of them is not there.
func interpreters(t testing.TB, p page) map[string]string {
	t.Helper()
	commands := make(map[string]string)
	for _, lang := range languages() {
		if len(p.of(lang)) == 0 {
			continue
		}
		command := interpreter(t, lang)
		if command == "" {
			t.Skipf("%s shows programs in %s, which is not installed here, or lacks a library; make setup installs it as root", p.name, lang)
		}
		commands[lang] = command
	}
	return commands
}

// interpreter returns the command for a language, or "" if there is none that has
// what the programs need. Of several Pythons one may have requests, which is the
// system's if Debian's package is installed.
func interpreter(t testing.TB, lang string) string {
	t.Helper()
	tries := map[string][][]string{
		"python": {{"python3", "-c", "import requests"}, {"/usr/bin/python3", "-c", "import requests"}},
		"php":    {{"php", "-r", "exit(PHP_MAJOR_VERSION < 8 ? 1 : 0);"}},
		"ruby":   {{"ruby", "-e", "require 'net/http'"}},
	}
	for _, try := range tries[lang] {
		if exec.CommandContext(t.Context(), try[0], try[1:]...).Run() == nil {
			return try[0]
		}
	}
	return ""
}

// TestDocs_asCommands shows what becomes of programs.
func TestDocs_asCommands(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ lang, text, want string }{
		{"python", "# a.py\nprint(\"$HOME\")\n", "cat > a.py <<'END OF FILE'\n# a.py\nprint(\"$HOME\")\nEND OF FILE\n"},
		{"php", "<?php\n// a-b.php\necho 1;\n", "cat > a-b.php <<'END OF FILE'\n<?php\n// a-b.php\necho 1;\nEND OF FILE\n"},
		{"ruby", "puts 1\n", ""},
		{"ruby", "puts 1\n# a.rb\n", ""},
		{"ruby", "# ../a.rb\n", ""},
		{"json", "{}\n", "{}\n"},
	} {
		b, err := asCommands(block{line: 7, lang: tt.lang, text: tt.text})
		if (err != nil) != (tt.want == "") || (err == nil && b.text != tt.want) {
			t.Errorf("%s %q: %q, %v", tt.lang, tt.text, b.text, err)
		}
	}
}

// TestDocs_follow breaks the connections of each program that follows a channel,
// and breaks them where it hurts: after the status of the run, whose id is beyond
// the messages that come next, within a message, and after messages.
func TestDocs_follow(t *testing.T) {
	t.Parallel()
	all := pages(t)
	at := slices.IndexFunc(all, func(p page) bool { return p.name == "other-languages.md" })
	if at < 0 {
		t.Fatal("there is no other-languages.md")
	}
	p := all[at]
	commands := interpreters(t, p)
	for _, lang := range languages() {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			programs := p.of(lang)
			is := slices.IndexFunc(programs, func(b block) bool { return strings.HasPrefix(fileOf(b), "follow.") })
			if is < 0 {
				t.Fatal("no program is called follow")
			}
			if err := checkFollow(t, commands[lang], programs[is]); err != nil {
				t.Error(err)
			}
			if err := checkAnswers(t, commands[lang], programs[is]); err != nil {
				t.Error(err)
			}
		})
	}
}

func checkFollow(t testing.TB, command string, program block) error {
	t.Helper()
	const channel = "pipeline:follow"
	s := start(t)
	say := func(text string) { s.publish(t, channel, "status", `{"message":"`+text+`"}`) }
	say("one")
	say("two")
	s.call(t, "PUT", "/v1/channels/"+channel+"/run", `{"status":"running"}`, nil)
	proxy := newCutter(t, "tcp", s.address())

	file := filepath.Join(t.TempDir(), fileOf(program))
	replace(t, file, []byte(program.text))
	cut := proxy.cutAfter(`"message":"on`)
	follower := launch(t, nil, []string{"SLUICE_URL=" + proxy.url, "SLUICE_API_KEY=" + s.key}, command, file, channel)
	for _, next := range []struct{ say, cutAfter string }{
		{"three", `"message":"thr`}, {"four", `"event":"$live"`}, {"five", ""},
	} {
		select {
		case <-cut:
		case <-follower.ended:
			return fmt.Errorf("it ends before %s: %s%s", next.say, follower.stdout, follower.stderr)
		case <-within(t, patience).Done():
			return fmt.Errorf("it gets nothing before %s: %s", next.say, follower.stderr)
		}
		if next.cutAfter != "" {
			cut = proxy.cutAfter(next.cutAfter)
		}
		proxy.mend()
		say(next.say)
	}
	s.call(t, "PUT", "/v1/channels/"+channel+"/run", `{"status":"completed"}`, nil)
	const want = "status: one\nstatus: two\nstatus: three\nstatus: four\nstatus: five\n"
	if got := follower.succeeds(t); got != want {
		return fmt.Errorf("it prints\n%s\nnot\n%s", got, want)
	}
	return nil
}

// checkAnswers gives the program answers that have to be repeated, and those that
// end it.
func checkAnswers(t testing.TB, command string, program block) error {
	t.Helper()
	const message = `{"id":"e-1","channel":"c","topic":"status","kind":"data","data":{"message":"one"}}` + "\n"
	file := filepath.Join(t.TempDir(), fileOf(program))
	replace(t, file, []byte(program.text))
	var faults []error
	for _, tt := range []struct {
		statuses []int // of one answer after the other
		succeeds bool
		prints   string
	}{
		{[]int{503, 200, 502, 204}, true, "status: one\n"},
		{[]int{403, 204}, false, ""},
		{[]int{503, 401, 204}, false, ""},
	} {
		var count atomic.Int64
		var from atomic.Value // the position that the last request named
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			from.Store(r.URL.Query().Get("last_event_id"))
			status := tt.statuses[min(int(count.Add(1)), len(tt.statuses))-1]
			w.WriteHeader(status)
			switch status {
			case http.StatusOK:
				io.WriteString(w, message+"\n"+`{"event":"$close","data":{"code":4002,"reason":"server_draining","reconnect":true}}`+"\n")
			case http.StatusNoContent:
			default:
				io.WriteString(w, `{"status":500}`)
			}
		}))
		follower := launch(t, nil, []string{"SLUICE_URL=" + server.URL, "SLUICE_API_KEY=key"}, command, file, "c")
		code := follower.exitCode(t)
		server.Close()
		if (code == 0) != tt.succeeds || (tt.succeeds && follower.stdout.String() != tt.prints) {
			faults = append(faults, fmt.Errorf("answered with %v, it exits with %d: %s%s", tt.statuses, code, follower.stdout, follower.stderr))
		}
		if tt.succeeds && from.Load() != "e-1" {
			faults = append(faults, fmt.Errorf("it resumes from %q", from.Load()))
		}
	}
	return errors.Join(faults...)
}
