package origin_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/origin"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"*":                             "*",
		"https://app.example.com":       "https://app.example.com",
		"HTTPS://App.Example.COM":       "https://app.example.com",
		"https://app.example.com:443":   "https://app.example.com",
		"http://app.example.com:80/":    "http://app.example.com",
		"http://app.example.com:443":    "http://app.example.com:443",
		"https://app.example.com:08443": "https://app.example.com:8443",
		"https://*.Example.com:443":     "https://*.example.com",
		"https://[2001:DB8:0::1]:8443":  "https://[2001:db8::1]:8443",
		"http://127.0.0.1:3000":         "http://127.0.0.1:3000",
		"http://localhost":              "http://localhost",
		"capacitor://localhost":         "capacitor://localhost",
		"":                              "",
		"null":                          "",
		"app.example.com":               "",
		"//app.example.com":             "",
		"https://":                      "",
		"https:app.example.com":         "",
		"https://app.example.com/x":     "",
		"https://app.example.com//":     "",
		"https://app.example.com?":      "",
		"https://app.example.com#":      "",
		"https://a@app.example.com":     "",
		"https://app.example.com:":      "",
		"https://app.example.com:x":     "",
		"https://app.example.com:70000": "",
		"https://*":                     "",
		"https://*.com":                 "",
		"https://*.":                    "",
		"https://*.com.":                "",
		"https://a.*.example.com":       "",
		"https://app-*.example.com":     "",
		"https://*.*.example.com":       "",
		"https://b\u00fccher.example":   "",
	} {
		got, err := origin.Parse(text)
		if got != want || (want == "") != errors.Is(err, origin.ErrBad) {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
}

// FuzzParse checks that a parsed origin is in normal form, and that a pattern matches only
// the hosts below it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"https://app.example.com", "https://*.example.com:8443", "http://[::1]:80", "HTTP://A:080/"} {
		f.Add(seed, "https://a.example.com")
	}
	f.Fuzz(func(t *testing.T, text, page string) {
		pattern, err := origin.Parse(text)
		if err != nil {
			return
		}
		if again, err := origin.Parse(pattern); again != pattern || err != nil {
			t.Errorf("%q is %q, that is %q, %v", text, pattern, again, err)
		}
		if !origin.Matches(pattern, page) || pattern == page {
			return
		}
		scheme, host, _ := strings.Cut(pattern, "://*")
		u, err := url.Parse(page)
		if err != nil || u.Scheme+"://" != scheme+"://" || !strings.HasSuffix(u.Host, host) || u.User != nil || u.Path != "" {
			t.Errorf("%q stands for %q", pattern, page)
		}
	})
}
