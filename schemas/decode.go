package schemas

import (
	"encoding"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// decoder reads definitions from a document and notes what does not belong there. It leaves
// the content of a definition, such as a bad template, to compileDefinition.
type decoder struct {
	faultList
}

// file reads the document of a definitions file.
func (d *decoder) file(n *node) []Definition {
	var defs []Definition
	d.members(n, "", "channels", func(_, pointer string, list *node) {
		if list.kind != strictjson.Array {
			d.add(pointer, "must be a list of channel definitions")
			return
		}
		for i, item := range list.items {
			defs = append(defs, d.definition(item, strictjson.Pointer(pointer, strconv.Itoa(i)), ""))
		}
	})
	return defs
}

// definition reads n. If it has no name, name from outside is used.
func (d *decoder) definition(n *node, pointer, name string) Definition {
	def := Definition{Name: name}
	named := name != ""
	d.members(n, pointer, "name topics replay strict", func(field, at string, value *node) {
		switch field {
		case "name":
			named = true
			if !d.is(value, strictjson.String, at, "a string") {
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
			if d.is(value, strictjson.Bool, at, "true or false") {
				def.Strict = value.text == "true"
			}
		}
	})
	if !named && n.kind == strictjson.Object {
		d.add(pointer, `property "name" is missing`)
	}
	return def
}

// compile notes the faults of def, except for limits, and returns those of its schemas.
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
	if !d.is(n, strictjson.Object, pointer, "an object with a member for each topic") || len(n.names) == 0 {
		return nil
	}
	topics := make(map[string]TopicDefinition, len(n.names))
	for i, topic := range n.names {
		if len(topic) > MaxTopicBytes {
			topics[topic] = TopicDefinition{} // the name is the fault, and would be in each pointer
			continue
		}
		topics[topic] = d.topic(n.items[i], strictjson.Pointer(pointer, topic))
	}
	return topics
}

// topic reads null as an empty object: in YAML, "status:" is the usual way to write a topic
// without a schema.
func (d *decoder) topic(n *node, pointer string) TopicDefinition {
	var topic TopicDefinition
	if n.kind == strictjson.Null {
		return topic
	}
	d.members(n, pointer, "schema merge", func(field, at string, value *node) {
		switch {
		case field == "merge":
			topic.Merge = d.mergeRule(value, at)
		case value.kind != strictjson.Object && value.kind != strictjson.Bool:
			d.add(at, "must be a JSON Schema, which is an object, true or false")
		default:
			topic.Schema = value.appendJSON(nil)
		}
	})
	return topic
}

func (d *decoder) mergeRule(n *node, pointer string) *MergeRule {
	rule := new(MergeRule)
	d.members(n, pointer, "append key", func(field, at string, value *node) {
		switch {
		case field == "append" && value.kind == strictjson.String:
			rule.Append = value.text
		case field == "append":
			d.add(at, "must be a JSON Pointer")
		case value.kind != strictjson.Array:
			d.add(at, "must be a list of JSON Pointers")
		default:
			for _, item := range value.items {
				rule.Key = append(rule.Key, item.text)
			}
		}
	})
	return rule
}

func (d *decoder) replay(n *node, pointer string) *ReplayLimits {
	limits := new(ReplayLimits)
	d.members(n, pointer, "messages bytes age", func(field, at string, value *node) {
		switch field {
		case "messages":
			count, err := strconv.ParseInt(value.text, 10, 32)
			if value.kind != strictjson.Number || err != nil || count < 1 {
				d.add(at, "must be a whole number of messages, at least 1")
				count = 0
			}
			limits.Messages = int(count)
		case "bytes":
			const want = `must be a number of bytes, at least 1, or a text such as "64KiB" or "1MiB"`
			if !d.text(value, &limits.Bytes, strictjson.Number) || limits.Bytes < 1 {
				d.add(at, want)
				limits.Bytes = 0
			}
		case "age":
			const want = `must be a duration longer than nothing, such as "90s" or "10m"`
			if !d.text(value, &limits.Age, strictjson.String) || limits.Age <= 0 {
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

// text reads a string or a value of the kind also, and reports whether that worked.
func (*decoder) text(n *node, into encoding.TextUnmarshaler, also strictjson.Kind) bool {
	return (n.kind == strictjson.String || n.kind == also) && into.UnmarshalText([]byte(n.text)) == nil
}

func (d *decoder) is(n *node, kind strictjson.Kind, pointer, want string) bool {
	if n.kind != kind {
		d.add(pointer, "must be %s", want)
	}
	return n.kind == kind
}

// members calls read for each member of the object n whose name is in known, a list
// separated by spaces. It notes the other members as faults.
func (d *decoder) members(n *node, pointer, known string, read func(name, pointer string, value *node)) {
	names := strings.Fields(known)
	if !d.is(n, strictjson.Object, pointer, "an object with "+strings.Join(names, ", ")) {
		return
	}
	for i, name := range n.names {
		at := strictjson.Pointer(pointer, name)
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
