package schemas

import (
	"encoding"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// decoder reads definitions out of a document and notes what does not belong.
// What a definition says by itself, such as a bad template, is not its business
// but that of compileDefinition.
type decoder struct {
	faultList
}

// file reads the document of a definitions file.
func (d *decoder) file(n *node) []Definition {
	var defs []Definition
	d.members(n, "", "channels", func(_, pointer string, list *node) {
		if list.kind != arrayNode {
			d.add(pointer, "must be a list of channel definitions")
			return
		}
		for i, item := range list.items {
			defs = append(defs, d.definition(item, join(pointer, strconv.Itoa(i)), ""))
		}
	})
	return defs
}

// definition reads n. A name from outside stands for one that is missing.
func (d *decoder) definition(n *node, pointer, name string) Definition {
	def := Definition{Name: name}
	named := name != ""
	d.members(n, pointer, "name topics replay strict", func(field, at string, value *node) {
		switch field {
		case "name":
			named = true
			if !d.is(value, stringNode, at, "a string") {
				break
			}
			if value.text == "" {
				d.add(at, "is empty")
			}
			if name != "" && value.text != name {
				d.add(at, "is not the name %q that the request is about", clip(name))
			}
			def.Name = value.text
		case "topics":
			def.Topics = d.topics(value, at)
		case "replay":
			def.Replay = d.replay(value, at)
		case "strict":
			if d.is(value, boolNode, at, "true or false") {
				def.Strict = value.text == "true"
			}
		}
	})
	if !named && n.kind == objectNode {
		d.add(pointer, `property "name" is missing`)
	}
	return def
}

// compile notes what def says that it cannot mean, apart from limits, and
// returns the faults of its schemas.
func (d *decoder) compile(def *Definition, pointer string) (schema []FieldError) {
	_, form, schema := compileDefinition(def)
	for _, f := range prefixed(pointer, form) {
		if def.Name != "" || f.Pointer != pointer+"/name" { // else noted already
			d.faults = append(d.faults, f)
		}
	}
	return prefixed(pointer, schema)
}

func (d *decoder) topics(n *node, pointer string) map[string]TopicDefinition {
	if !d.is(n, objectNode, pointer, "an object with a member for each topic") || len(n.names) == 0 {
		return nil
	}
	topics := make(map[string]TopicDefinition, len(n.names))
	for i, topic := range n.names {
		topics[topic] = d.topic(n.items[i], join(pointer, topic))
	}
	return topics
}

// topic reads null as an object without members: "status:" is a usual way to
// write a topic without a schema in YAML.
func (d *decoder) topic(n *node, pointer string) TopicDefinition {
	var topic TopicDefinition
	if n.kind == nullNode {
		return topic
	}
	d.members(n, pointer, "schema", func(_, at string, value *node) {
		if value.kind != objectNode && value.kind != boolNode {
			d.add(at, "must be a JSON Schema, which is an object, true or false")
			return
		}
		topic.Schema = value.appendJSON(nil)
	})
	return topic
}

func (d *decoder) replay(n *node, pointer string) *ReplayLimits {
	limits := new(ReplayLimits)
	d.members(n, pointer, "messages bytes age", func(field, at string, value *node) {
		switch field {
		case "messages":
			count, err := strconv.ParseInt(value.text, 10, 32)
			if value.kind != numberNode || err != nil || count < 1 {
				d.add(at, "must be a whole number of messages, at least 1")
				count = 0
			}
			limits.Messages = int(count)
		case "bytes":
			const want = `must be a number of bytes, at least 1, or a text such as "64KiB" or "1MiB"`
			if !d.text(value, &limits.Bytes, numberNode) || limits.Bytes < 1 {
				d.add(at, want)
				limits.Bytes = 0
			}
		case "age":
			const want = `must be a duration longer than nothing, such as "90s" or "10m"`
			if !d.text(value, &limits.Age, stringNode) || limits.Age <= 0 {
				d.add(at, want)
				limits.Age = 0
			}
		}
	})
	if *limits == (ReplayLimits{}) {
		return nil
	}
	return limits
}

// text reads a string, or a value of the kind also, and reports success.
func (*decoder) text(n *node, into encoding.TextUnmarshaler, also nodeKind) bool {
	return (n.kind == stringNode || n.kind == also) && into.UnmarshalText([]byte(n.text)) == nil
}

func (d *decoder) is(n *node, kind nodeKind, pointer, want string) bool {
	if n.kind != kind {
		d.add(pointer, "must be %s", want)
	}
	return n.kind == kind
}

// members calls read for each member of the object n whose name is one of
// known, which are separated by spaces, and notes the others.
func (d *decoder) members(n *node, pointer, known string, read func(name, pointer string, value *node)) {
	names := strings.Fields(known)
	if !d.is(n, objectNode, pointer, "an object with "+strings.Join(names, ", ")) {
		return
	}
	for i, name := range n.names {
		at := join(pointer, name)
		if !slices.Contains(names, name) {
			d.add(at, "%s", unknownMember(names))
			continue
		}
		read(name, at, n.items[i])
	}
}

func unknownMember(names []string) string {
	if len(names) == 1 {
		return fmt.Sprintf("is unknown here; there is only %s", names[0])
	}
	last := len(names) - 1
	return fmt.Sprintf("is unknown here; there are %s and %s", strings.Join(names[:last], ", "), names[last])
}
