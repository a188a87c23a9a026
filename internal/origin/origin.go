// Package origin reads the origins of pages (RFC 6454), and patterns of them.
package origin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ErrBad is returned by [Parse]. Its text says what is wrong.
var ErrBad = errors.New("origin: bad origin")

// Any is the origin pattern that stands for every origin.
const Any = "*"

// wildcard is the leading label that stands for one or more.
const wildcard = "*."

// Parse returns an origin in the form in which browsers send it (RFC 6454, section
// 6.2): in lower case, without the default port of the scheme and without a slash at the
// end. The host may begin with "*.", which stands for all hosts below it; at least two
// more labels must follow. [Any] is returned as it is. The error is
// [ErrBad].
func Parse(text string) (string, error) {
	if text == Any {
		return text, nil
	}
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	switch {
	case err != nil, u.Scheme == "", u.Host == "", u.Opaque != "":
		return "", bad("it is not a scheme and a host, such as https://app.example.com")
	case u.User != nil, u.Path != "", u.RawQuery != "", u.ForceQuery, u.Fragment != "", strings.HasSuffix(text, "#"):
		return "", bad("an origin has a scheme, a host and a port, and nothing else")
	}
	host, err := parseHost(u.Hostname())
	if err != nil {
		return "", err
	}
	port := u.Port()
	if strings.HasSuffix(u.Host, ":") {
		return "", bad("the port is empty")
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return "", bad("the port is not a number up to 65535")
		}
		port = ":" + strconv.FormatUint(n, 10)
	}
	if u.Scheme == "http" && port == ":80" || u.Scheme == "https" && port == ":443" {
		port = ""
	}
	return u.Scheme + "://" + host + port, nil
}

func parseHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Is6() {
			return "[" + addr.WithZone("").String() + "]", nil
		}
		return addr.String(), nil
	}
	host = strings.ToLower(host)
	name, wild := strings.CutPrefix(host, wildcard)
	switch {
	case strings.Contains(name, "*"):
		return "", bad("* can only stand for whole labels in front, as in https://*.example.com")
	case wild && !strings.Contains(strings.Trim(name, "."), "."):
		return "", bad("below *. there must be two labels, as in https://*.example.com")
	}
	for i := range len(host) {
		if host[i] <= ' ' || host[i] > '~' {
			return "", bad("browsers send names that are not ASCII in their xn-- form")
		}
	}
	return host, nil
}

func bad(why string) error { return fmt.Errorf("%w: %s", ErrBad, why) }

// Matches reports whether pattern, as [Parse] returns it, matches an origin
// that a browser has sent. It does not treat [Any] specially.
func Matches(pattern, origin string) bool {
	scheme, host, ok := strings.Cut(pattern, "://"+wildcard)
	if !ok {
		return pattern == origin
	}
	rest, ok := strings.CutPrefix(origin, scheme+"://")
	below, found := strings.CutSuffix(rest, "."+host)
	return ok && found && below != "" && !strings.ContainsAny(below, "/:@[]")
}

// Hostname returns a Host header without its port.
func Hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport
	}
	return host
}

// LoopbackHost reports whether a host, without its port, is this machine.
func LoopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	if len(host) > 1 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// Loopback reports whether an Origin header names a page of this machine.
func Loopback(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && LoopbackHost(u.Hostname())
}
