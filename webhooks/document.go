package webhooks

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/internal/watchedfile"
	"github.com/sluicehq/sluice/internal/yamldoc"
	"github.com/sluicehq/sluice/schemas"
)

const (
	maxEndpoints = 64
	maxURL       = 2048 // bytes
	every        = "*"  // stands for all types of events
)

// settings are what the file says of an endpoint. They never change.
type settings struct {
	url      *url.URL
	secrets  []Secret
	events   []string // types, or *
	channels []schemas.Pattern
}

// wants reports whether the endpoint is to be told of an event.
func (s *settings) wants(e *outbox.Event) bool {
	return s.wantsType(e.Type) && s.wantsChannel(e.Channel)
}

func (s *settings) wantsType(t outbox.Type) bool {
	return slices.Contains(s.events, every) || slices.Contains(s.events, string(t))
}

func (s *settings) wantsChannel(name schemas.Channel) bool {
	return slices.ContainsFunc(s.channels, func(p schemas.Pattern) bool { return p.Matches(name) })
}

// same reports whether two settings say the same.
func (s *settings) same(o *settings) bool {
	return s.url.String() == o.url.String() && slices.Equal(s.events, o.events) && slices.Equal(s.channels, o.channels) &&
		slices.EqualFunc(s.secrets, o.secrets, func(a, b Secret) bool { return string(a) == string(b) })
}

// shown returns the URL without what may be a secret: user, password, query and fragment.
func (s *settings) shown() string {
	return (&url.URL{Scheme: s.url.Scheme, Host: s.url.Host, Path: s.url.Path, RawPath: s.url.RawPath}).String()
}

// CheckFile returns all faults of a file of webhooks: a YAML or JSON document with the list
// "webhooks", whose entries have a url, a secret or several, and perhaps events and channels.
// No fault quotes a secret or a URL.
func CheckFile(path string) []error {
	text, err := watchedfile.ReadAll(path)
	if err != nil {
		return []error{err}
	}
	_, faults := parse(text)
	return faults
}

// parse reads a document and returns what it says of each endpoint, or all its faults.
func parse(text []byte) (all []*settings, faults []error) {
	d := &document{urls: make(map[string]bool)}
	root := d.Parse(text)
	if root == nil {
		return nil, d.Faults
	}
	found := false
	for name, value := range d.Members(root, "the document", "webhooks") {
		found = true
		for i, entry := range d.Items(value, name) {
			all = append(all, d.endpoint(entry, fmt.Sprintf("webhook %d", i+1)))
		}
	}
	switch {
	case !found && len(d.Faults) == 0:
		d.Fault(root, "webhooks is missing; without any it would say webhooks: []")
	case len(all) > maxEndpoints:
		d.Fault(root, "there are %d webhooks; at most %d are allowed", len(all), maxEndpoints)
	}
	if len(d.Faults) > 0 {
		return nil, d.Faults
	}
	return all, nil
}

// document is a file of webhooks that is being read.
type document struct {
	yamldoc.Document
	urls map[string]bool // of the endpoints so far
}

// endpoint reads one entry; what names it in faults.
func (d *document) endpoint(entry *yamldoc.Node, what string) *settings {
	s := new(settings)
	before := len(d.Faults)
	for name, value := range d.Members(entry, what, "url", "secret", "events", "channels") {
		of := what + ": " + name
		switch name {
		case "url":
			s.url = d.url(value, of)
		case "secret":
			s.secrets = d.secrets(value, of)
		case "events":
			s.events = d.events(value, of)
		case "channels":
			s.channels = d.channels(value, of)
		}
	}
	if len(d.Faults) > before {
		return s
	}
	if s.url == nil {
		d.Fault(entry, "%s: url is missing", what)
	}
	if s.secrets == nil {
		d.Fault(entry, "%s: secret is missing; sluice webhooks secret makes one", what)
	}
	if s.events == nil {
		s.events = []string{every}
	}
	if s.channels == nil {
		s.channels = []schemas.Pattern{"*"}
	}
	return s
}

// url reads the address of an endpoint. It may hold a secret, so no fault quotes it.
func (d *document) url(value *yamldoc.Node, what string) *url.URL {
	text, _ := yamldoc.Scalar(value)
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || len(text) > maxURL:
		d.Fault(value, "%s: want http:// or https://, a host and perhaps a path, such as https://example.com/hooks; at most %d bytes", what, maxURL)
		return nil
	case u.Fragment != "":
		d.Fault(value, "%s: it has a fragment (#), which is never sent", what)
	case d.urls[u.String()]:
		d.Fault(value, "%s: another webhook has the same; give one of them all events and channels", what)
	}
	d.urls[u.String()] = true
	return u
}

// secrets reads one secret, or several: a list, or one string with spaces in between. While a
// secret is being replaced, events are signed with the new and the old one.
func (d *document) secrets(value *yamldoc.Node, what string) (all []Secret) {
	var texts []string
	if yamldoc.IsList(value) {
		for _, item := range d.Items(value, what) {
			text, _ := yamldoc.Scalar(item)
			texts = append(texts, text)
		}
	} else {
		text, _ := yamldoc.Scalar(value)
		texts = strings.Fields(text)
	}
	if len(texts) == 0 || len(texts) > maxSecrets {
		d.Fault(value, "%s: want 1 to %d secrets", what, maxSecrets)
		return nil
	}
	for _, text := range texts {
		secret, err := ParseSecret(text)
		if err != nil {
			d.Fault(value, "%s: %s", what, strings.TrimPrefix(err.Error(), "webhooks: "))
			return nil
		}
		all = append(all, secret)
	}
	return all
}

func (d *document) events(value *yamldoc.Node, what string) (all []string) {
	for _, item := range d.Items(value, what) {
		text := d.Text(item, what)
		if text != every && !slices.Contains(outbox.Types(), outbox.Type(text)) {
			d.Fault(item, "%s: want *, %s", what, listed(outbox.Types()))
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		d.Fault(value, "%s: it is empty; leave it out for all events", what)
	}
	return all
}

// listed returns the types as they stand in a sentence.
func listed(types []outbox.Type) string {
	texts := make([]string, len(types))
	for i, t := range types {
		texts[i] = string(t)
	}
	last := len(texts) - 1
	return strings.Join(texts[:last], ", ") + " or " + texts[last]
}

func (d *document) channels(value *yamldoc.Node, what string) (all []schemas.Pattern) {
	for _, item := range d.Items(value, what) {
		pattern, err := schemas.ParsePattern(d.Text(item, what))
		if err != nil {
			d.Fault(item, "%s: want the name of a channel, one that ends in :*, or *", what)
		}
		all = append(all, pattern)
	}
	if len(all) == 0 {
		d.Fault(value, "%s: it is empty; leave it out for all channels", what)
	}
	return all
}
