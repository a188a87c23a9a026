package program

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Where a value is given, in turn, as the arguments and the environment for it.
func places(t *testing.T, known setting, text string) map[string][2][]string {
	t.Helper()
	yaml := known.key + ": " + fmt.Sprintf("%q", text) + "\n"
	all := map[string][2][]string{
		"flag":     {{"--" + known.name + "=" + text}, nil},
		"variable": {nil, {known.variable + "=" + text}},
	}
	if known.key != "" {
		all["file"] = [2][]string{{"--config=" + fileOf(t, yaml)}, nil}
	}
	if known.secret {
		all["file of a secret"] = [2][]string{nil, {known.variable + "_FILE=" + fileOf(t, text)}}
		all["file of a secret with a byte order mark"] = [2][]string{nil, {known.variable + "_FILE=" + fileOf(t, "\ufeff"+text)}}
	}
	return all
}

// settingsOf returns the settings of serve, with the type of what they set.
func settingsOf(t *testing.T) map[setting]*kong.Flag {
	t.Helper()
	s := newSettings(nil)
	if _, err := newParser(s, nil, nil, func(int) {}); err != nil {
		t.Fatal(err)
	}
	of := make(map[setting]*kong.Flag)
	for flag, known := range s.known {
		if s.byName[known.name] == known && known.name != "config" {
			of[known] = flag
		}
	}
	return of
}

// Every setting is read alike wherever it is given: a line end behind it is none of
// its own, one inside is a fault unless it parts a list.
func TestSettings_lineEnds(t *testing.T) {
	const one, two = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	for known, flag := range settingsOf(t) {
		if flag.Target.Kind() == reflect.Bool {
			continue
		}
		for place, how := range places(t, known, one+"\n"+two) {
			args := append([]string{"--dev"}, how[0]...)
			_, err := configOf(t, args, how[1]...)
			inner := err != nil && strings.Contains(err.Error(), "it has more than one line")
			if inner == known.list {
				t.Errorf("two lines for %s in a %s: %v", known.name, place, err)
			}
			if known.secret && err != nil && strings.Contains(err.Error(), one) {
				t.Errorf("%s in a %s is told: %v", known.name, place, err)
			}
		}
		for _, end := range []string{"\n", "\r\n", "\n\n"} {
			_, want := configOf(t, []string{"--dev", "--" + known.name + "=" + one})
			for place, how := range places(t, known, one+end) {
				_, err := configOf(t, append([]string{"--dev"}, how[0]...), how[1]...)
				if got, want := withoutPlace(err), withoutPlace(want); got != want {
					t.Errorf("%s with %q behind it in a %s: %s, want %s", known.name, end, place, got, want)
				}
			}
		}
	}
}

// withoutPlace returns what is wrong, but not where.
func withoutPlace(err error) string {
	var usage *usageError
	if !errors.As(err, &usage) {
		return fmt.Sprint(err)
	}
	var texts []string
	for _, fault := range usage.faults {
		texts = append(texts, fault[strings.LastIndex(fault, ": ")+2:])
	}
	return strings.Join(texts, "; ")
}

// What a secret is, whatever way it came.
func TestSettings_secrets(t *testing.T) {
	const secret = "0123456789abcdef,0123456789 abcdef\t"
	for _, known := range []setting{{name: "signing-secret", variable: "SLUICE_SIGNING_SECRET", key: "signing_secret", secret: true}} {
		for _, end := range []string{"", "\n", "\r\n", "\r", "\n\n"} {
			for place, how := range places(t, known, secret+end) {
				got, err := configOf(t, append([]string{"--dev"}, how[0]...), how[1]...)
				if err != nil || got.SigningSecret != secret {
					t.Errorf("%q behind it in a %s: %v, %v", end, place, got, err)
				}
			}
		}
	}
	keys := []string{"0123456789abcdef", "fedcba9876543210"}
	for _, text := range []string{"0123456789abcdef\nfedcba9876543210\n", "0123456789abcdef\r\n\r\nfedcba9876543210", "0123456789abcdef,fedcba9876543210\n"} {
		for place, how := range places(t, setting{name: "api-keys", variable: "SLUICE_API_KEYS", key: "api_keys", secret: true}, text) {
			got, err := configOf(t, append([]string{"--dev"}, how[0]...), how[1]...)
			if err != nil || !slices.Equal(got.APIKeys, keys) {
				t.Errorf("%q in a %s: %v, %v", text, place, got, err)
			}
		}
	}
}

// Items of a list in YAML are what they are, and a value that is one is no list.
func TestSettings_lists(t *testing.T) {
	got, err := configOf(t, []string{"--dev", "--config", fileOf(t, `
api_keys: ["with,comma-0123456789", 'with\', "0123456789abcdef\n", &a fedcba9876543210, *a]
trusted_proxies: [10.0.0.0/8, "fd00::/8"]
cors_origins: []
`)})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"with,comma-0123456789", `with\`, "0123456789abcdef", "fedcba9876543210", "fedcba9876543210"}
	if !slices.Equal(got.APIKeys, want) || len(got.TrustedProxies) != 2 || len(got.CORSOrigins) != 0 {
		t.Errorf("%q, %v, %v", got.APIKeys, got.TrustedProxies, got.CORSOrigins)
	}
}

func TestSettings_secretFile_faults(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"empty":                       {"", "is empty"},
		"a line end alone":            {"\r\n", "is empty"},
		"a byte order mark alone":     {"\ufeff\n", "is empty"},
		"UTF-16":                      {"\xff\xfes\x00e\x00c\x00", "is UTF-16"},
		"UTF-16, the other way round": {"\xfe\xff\x00s\x00e\x00c", "is UTF-16"},
		"without an end":              {strings.Repeat("s3cret", 200_000), "has more than 1048576 bytes"},
		"a private key":               {"-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n", "it has more than one line"},
	} {
		for _, variable := range []string{"SLUICE_SIGNING_SECRET_FILE"} {
			_, err := configOf(t, []string{"--dev"}, variable+"="+fileOf(t, tt.content))
			if err == nil || !strings.Contains(err.Error(), variable+": ") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s for %s: %v", name, variable, err)
			}
		}
	}
}

// The file of a secret can hold anything: what comes out of it stood in it.
func FuzzSettings_secretFile(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n"))
	f.Add([]byte("\ufeffone"))
	f.Add([]byte(",,\\,\n"))
	f.Add([]byte("\xff\xfea\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := fileOf(t, string(content))
		environ := []string{"SLUICE_API_KEYS_FILE=" + path, "SLUICE_SIGNING_SECRET_FILE=" + path}
		s := newSettings(environ)
		for _, list := range []bool{true, false} {
			known := setting{name: "x", variable: "SLUICE_API_KEYS", secret: true, list: list}
			given, ok := s.fromEnvironment(known)
			if !ok {
				continue
			}
			got, err := given.clean(list)
			if err != nil {
				if list {
					t.Errorf("%q is refused as a list: %v", content, err)
				}
				continue
			}
			for _, item := range append([]string{got.text}, got.items...) {
				if got.items != nil && item == got.text {
					continue
				}
				if strings.ContainsAny(item, lineEnds) || !strings.Contains(string(content), item) {
					t.Errorf("%q makes %q", content, item)
				}
			}
		}
	})
}
