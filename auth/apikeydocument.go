package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"go.yaml.in/yaml/v3"

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
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(document))
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return nil, []error{errors.New("it is empty; without keys it would say keys: []")}
	case err != nil:
		return nil, []error{err}
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, []error{errors.New("there is more than one document")}
	}
	d := &keyDocument{plain: plain, names: make(map[string]bool), hashes: make(map[[sha256.Size]byte]bool)}
	found := false
	for name, value := range d.members(root.Content[0], "the document", "keys") {
		found = true
		for i, entry := range d.items(value, name) {
			keys = append(keys, d.key(entry, i))
		}
	}
	if !found && len(d.faults) == 0 {
		d.fault(root.Content[0], "keys is missing")
	}
	if len(d.faults) > 0 {
		return nil, d.faults
	}
	return keys, nil
}

// keyDocument gathers the faults of a document.
type keyDocument struct {
	plain  apiKeys
	faults []error
	names  map[string]bool            // of the keys so far
	hashes map[[sha256.Size]byte]bool // of the keys so far
}

func (d *keyDocument) fault(at *yaml.Node, format string, args ...any) {
	d.faults = append(d.faults, fmt.Errorf("line %d: %s", at.Line, fmt.Sprintf(format, args...)))
}

// key reads one entry. Faults name it by its name, or by its index.
func (d *keyDocument) key(entry *yaml.Node, i int) *namedKey {
	what := fmt.Sprintf("key %d", i)
	p := &Principal{}
	k := &namedKey{principal: p, requests: new(atomic.Uint64)}
	p.key = k
	hashed := false
	for name, value := range d.members(entry, what, "name", "sha256", "publish", "subscribe", "admin") {
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
			d.admin(value, what, p)
		}
	}
	if p.KeyName == "" {
		d.fault(entry, "%s: name is missing, or not valid", what)
	}
	if !hashed {
		d.fault(entry, "%s: sha256 is missing", what)
	}
	switch granted := len(p.Publish)+len(p.Subscribe) > 0; {
	case p.Admin && granted:
		d.fault(entry, "%s: admin allows everything; leave out publish and subscribe", what)
	case p.Admin:
		p.Publish, p.Subscribe = schemas.AllowAll(), schemas.AllowAll()
	case !granted:
		d.fault(entry, "%s: it may do nothing; give it publish, subscribe or admin: true", what)
	}
	return k
}

func (d *keyDocument) name(value *yaml.Node, what string, p *Principal) bool {
	text, ok := scalar(value)
	switch {
	case !ok || !ValidKeyName(text):
		d.fault(value, "%s: name: want 1 to %d letters, digits, dots, dashes and underscores", what, maxKeyName)
		return false
	case d.names[text]:
		d.fault(value, "%s: name: %s stands twice", what, text)
	}
	d.names[text], p.KeyName = true, text
	return true
}

// hash quotes nothing: what stands there may be the key itself.
func (d *keyDocument) hash(value *yaml.Node, what string, k *namedKey) {
	text, _ := scalar(value)
	hash, err := hex.DecodeString(text)
	if err != nil || copy(k.hash[:], hash) != sha256.Size || len(hash) != sha256.Size {
		d.fault(value, "%s: sha256: want 64 hexadecimal digits, as sluice keys api prints them", what)
		return
	}
	k.principal.KeyID = keyID(k.hash)
	switch {
	case d.hashes[k.hash]:
		d.fault(value, "%s: sha256: another key has the same", what)
	case d.plain.find(k.hash) >= 0:
		d.fault(value, "%s: sha256: the key is also a plain one, which may do everything", what)
	}
	d.hashes[k.hash] = true
}

func (d *keyDocument) admin(value *yaml.Node, what string, p *Principal) {
	if value.Tag != "!!bool" || value.Decode(&p.Admin) != nil {
		d.fault(value, "%s: admin: want true or false", what)
	}
}

// grants reads a list of {channel, topics}, as in a token.
func (d *keyDocument) grants(value *yaml.Node, what string) schemas.Grants {
	var grants schemas.Grants
	before := len(d.faults)
	for i, item := range d.items(value, what) {
		of := fmt.Sprintf("%s: grant %d", what, i)
		var grant schemas.Grant
		for name, value := range d.members(item, of, "channel", "topics") {
			if name == "channel" {
				grant.Channel = schemas.Pattern(d.text(value, of+": channel"))
				continue
			}
			for _, topic := range d.items(value, of+": topics") {
				grant.Topics = append(grant.Topics, d.text(topic, of+": topics"))
			}
		}
		grants = append(grants, grant)
	}
	if len(d.faults) == before {
		if err := checkGrants(grants); err != nil {
			d.fault(value, "%s: %s", what, strings.TrimPrefix(err.Error(), schemas.ErrBadGrant.Error()+": "))
		}
	}
	return grants
}

func (d *keyDocument) text(value *yaml.Node, what string) string {
	text, ok := scalar(value)
	if !ok {
		d.fault(value, "%s: want a string", what)
	}
	return text
}

// scalar returns the text of a string.
func scalar(value *yaml.Node) (string, bool) {
	return value.Value, value.Kind == yaml.ScalarNode && value.Tag == "!!str"
}

// items returns the elements of a list.
func (d *keyDocument) items(value *yaml.Node, what string) []*yaml.Node {
	if value.Kind != yaml.SequenceNode {
		d.fault(value, "%s: want a list", what)
		return nil
	}
	items := make([]*yaml.Node, len(value.Content))
	for i, item := range value.Content {
		items[i] = resolved(item)
	}
	return items
}

// members yields the members of a mapping in the order of known. Others are faults, and so is
// one that stands twice: a member that is not understood could be a restriction.
func (d *keyDocument) members(value *yaml.Node, what string, known ...string) func(yield func(string, *yaml.Node) bool) {
	values := make(map[string]*yaml.Node)
	if value.Kind != yaml.MappingNode {
		d.fault(value, "%s: want a mapping", what)
		value = &yaml.Node{}
	}
	for i := 0; i+1 < len(value.Content); i += 2 {
		switch name := value.Content[i].Value; {
		case !slices.Contains(known, name):
			d.fault(value.Content[i], "%s: unknown member %.64q", what, name)
		case values[name] != nil:
			d.fault(value.Content[i], "%s: %s stands twice", what, name)
		default:
			values[name] = resolved(value.Content[i+1])
		}
	}
	return func(yield func(string, *yaml.Node) bool) {
		for _, name := range known {
			if value := values[name]; value != nil && !yield(name, value) {
				return
			}
		}
	}
}

// resolved returns the node that an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// sameGrants reports whether the grants are the same, in the same order.
func sameGrants(a, b schemas.Grants) bool {
	return slices.EqualFunc(a, b, func(x, y schemas.Grant) bool {
		return x.Channel == y.Channel && slices.Equal(x.Topics, y.Topics)
	})
}
