package handlers

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrBadOrigin is returned by [ParseOrigin]. Its text says what is wrong.
var ErrBadOrigin = errors.New("handlers: bad origin")

// AnyOrigin is the origin pattern that stands for every origin.
const AnyOrigin = "*"

// wildcard is the leading label that stands for one or more.
const wildcard = "*."

// ParseOrigin returns an origin in the form in which browsers send it (RFC 6454, section
// 6.2): in lower case, without the default port of the scheme and without a slash at the
// end. The host may begin with "*.", which stands for all hosts below it; at least two
// more labels must follow. [AnyOrigin] is returned as it is. The error is
// [ErrBadOrigin].
func ParseOrigin(text string) (string, error) {
	if text == AnyOrigin {
		return text, nil
	}
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	switch {
	case err != nil, u.Scheme == "", u.Host == "", u.Opaque != "":
		return "", badOrigin("it is not a scheme and a host, such as https://app.example.com")
	case u.User != nil, u.Path != "", u.RawQuery != "", u.ForceQuery, u.Fragment != "", strings.HasSuffix(text, "#"):
		return "", badOrigin("an origin has a scheme, a host and a port, and nothing else")
	}
	host, err := originHost(u.Hostname())
	if err != nil {
		return "", err
	}
	port := u.Port()
	if strings.HasSuffix(u.Host, ":") {
		return "", badOrigin("the port is empty")
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return "", badOrigin("the port is not a number up to 65535")
		}
		port = ":" + strconv.FormatUint(n, 10)
	}
	if u.Scheme == "http" && port == ":80" || u.Scheme == "https" && port == ":443" {
		port = ""
	}
	return u.Scheme + "://" + host + port, nil
}

func originHost(host string) (string, error) {
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
		return "", badOrigin("* can only stand for whole labels in front, as in https://*.example.com")
	case wild && !strings.Contains(strings.Trim(name, "."), "."):
		return "", badOrigin("below *. there must be two labels, as in https://*.example.com")
	}
	for i := range len(host) {
		if host[i] <= ' ' || host[i] > '~' {
			return "", badOrigin("browsers send names that are not ASCII in their xn-- form")
		}
	}
	return host, nil
}

func badOrigin(why string) error { return fmt.Errorf("%w: %s", ErrBadOrigin, why) }

// matchesOrigin reports whether pattern, as [ParseOrigin] returns it, matches an origin
// that a browser has sent. It does not treat [AnyOrigin] specially.
func matchesOrigin(pattern, origin string) bool {
	scheme, host, ok := strings.Cut(pattern, "://"+wildcard)
	if !ok {
		return pattern == origin
	}
	rest, ok := strings.CutPrefix(origin, scheme+"://")
	below, found := strings.CutSuffix(rest, "."+host)
	return ok && found && below != "" && !strings.ContainsAny(below, "/:@[]")
}

// answersFor reports whether requests with this Host header are answered.
func (a *api) answersFor(hostport string) bool {
	return !a.Dev || loopbackName(hostname(hostport)) || slices.Contains(a.DevHosts, strings.ToLower(hostname(hostport)))
}

// hostname returns a Host header without its port.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport
	}
	return host
}

func loopbackName(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	if len(host) > 1 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// loopbackOrigin reports whether an Origin header names a page of this machine.
func loopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && loopbackName(u.Hostname())
}
