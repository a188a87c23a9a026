package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluicehq/sluice/internal/yamldoc"
	"github.com/sluicehq/sluice/schemas"
)

// maxKeyName limits the name of an API key, in bytes.
const maxKeyName = 64

// ValidKeyName reports whether name can be the name of an API key: 1 to 64 ASCII letters,
// digits, dots, dashes and underscores.
func ValidKeyName(name string) bool {
	strange := strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
	return name != "" && len(name) <= maxKeyName && !strange
}

// HasNamedKeys reports whether the content of a file is a document for
// [Options.APIKeyFile], whether or not it has faults. Anything else is a list of plain keys.
func HasNamedKeys(content []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(content, []byte("\ufeff"))) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		return line[0] == '{' || bytes.HasPrefix(line, []byte("keys:")) || bytes.HasPrefix(line, []byte("---"))
	}
	return false
}

// parseNamedKeys reads a document and returns its keys, or all its faults.
func parseNamedKeys(document []byte, plain apiKeys) (keys []*namedKey, faults []error) {
	d := &keyDocument{plain: plain, names: make(map[string]bool), hashes: make(map[[sha256.Size]byte]bool)}
	root := d.Parse(document)
	if root == nil {
		return nil, d.Faults
	}
	found := false
	for name, value := range d.Members(root, "the document", "keys") {
		found = true
		for i, entry := range d.Items(value, name) {
			keys = append(keys, d.key(entry, i))
		}
	}
	if !found && len(d.Faults) == 0 {
		d.Fault(root, "keys is missing")
	}
	if len(d.Faults) > 0 {
		return nil, d.Faults
	}
	return keys, nil
}

// keyDocument gathers the faults of a document.
type keyDocument struct {
	yamldoc.Document
	plain  apiKeys
	names  map[string]bool            // of the keys so far
	hashes map[[sha256.Size]byte]bool // of the keys so far
}

// key reads one entry. Faults name it by its name, or by its index.
func (d *keyDocument) key(entry *yamldoc.Node, i int) *namedKey {
	what := fmt.Sprintf("key %d", i)
	p := &Principal{}
	k := &namedKey{principal: p, requests: new(atomic.Uint64)}
	p.key = k
	hashed := false
	for name, value := range d.Members(entry, what, "name", "sha256", "publish", "subscribe", "admin") {
		switch name {
		case "name":
			if d.name(value, what, p) {
				what = "key " + p.KeyName
			}
		case "sha256":
			hashed = true
			d.hash(value, what, k)
		case "publish":
			p.Publish = d.grants(value, what+": publish")
		case "subscribe":
			p.Subscribe = d.grants(value, what+": subscribe")
		case "admin":
			p.Admin = d.Bool(value, what+": admin")
		}
	}
	if p.KeyName == "" {
		d.Fault(entry, "%s: name is missing, or not valid", what)
	}
	if !hashed {
		d.Fault(entry, "%s: sha256 is missing", what)
	}
	switch granted := len(p.Publish)+len(p.Subscribe) > 0; {
	case p.Admin && granted:
		d.Fault(entry, "%s: admin allows everything; leave out publish and subscribe", what)
	case p.Admin:
		p.Publish, p.Subscribe = schemas.AllowAll(), schemas.AllowAll()
	case !granted:
		d.Fault(entry, "%s: it may do nothing; give it publish, subscribe or admin: true", what)
	}
	return k
}

func (d *keyDocument) name(value *yamldoc.Node, what string, p *Principal) bool {
	text, ok := yamldoc.Scalar(value)
	switch {
	case !ok || !ValidKeyName(text):
		d.Fault(value, "%s: name: want 1 to %d letters, digits, dots, dashes and underscores", what, maxKeyName)
		return false
	case d.names[text]:
		d.Fault(value, "%s: name: %s stands twice", what, text)
	}
	d.names[text], p.KeyName = true, text
	return true
}

// hash quotes nothing: what stands there may be the key itself.
func (d *keyDocument) hash(value *yamldoc.Node, what string, k *namedKey) {
	text, _ := yamldoc.Scalar(value)
	hash, err := hex.DecodeString(text)
	if err != nil || copy(k.hash[:], hash) != sha256.Size || len(hash) != sha256.Size {
		d.Fault(value, "%s: sha256: want 64 hexadecimal digits, as sluice keys api prints them", what)
		return
	}
	k.principal.KeyID = keyID(k.hash)
	switch {
	case d.hashes[k.hash]:
		d.Fault(value, "%s: sha256: another key has the same", what)
	case d.plain.find(k.hash) >= 0:
		d.Fault(value, "%s: sha256: the key is also a plain one, which may do everything", what)
	}
	d.hashes[k.hash] = true
}

// grants reads a list of {channel, topics}, as in a token.
func (d *keyDocument) grants(value *yamldoc.Node, what string) schemas.Grants {
	var grants schemas.Grants
	before := len(d.Faults)
	for i, item := range d.Items(value, what) {
		of := fmt.Sprintf("%s: grant %d", what, i)
		var grant schemas.Grant
		for name, value := range d.Members(item, of, "channel", "topics") {
			if name == "channel" {
				grant.Channel = schemas.Pattern(d.Text(value, of+": channel"))
				continue
			}
			for _, topic := range d.Items(value, of+": topics") {
				grant.Topics = append(grant.Topics, d.Text(topic, of+": topics"))
			}
		}
		grants = append(grants, grant)
	}
	if len(d.Faults) == before {
		if err := checkGrants(grants); err != nil {
			d.Fault(value, "%s: %s", what, strings.TrimPrefix(err.Error(), schemas.ErrBadGrant.Error()+": "))
		}
	}
	return grants
}

// sameGrants reports whether the grants are the same, in the same order.
func sameGrants(a, b schemas.Grants) bool {
	return slices.EqualFunc(a, b, func(x, y schemas.Grant) bool {
		return x.Channel == y.Channel && slices.Equal(x.Topics, y.Topics)
	})
}
