package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// configFile is the settings in a YAML file.
type configFile struct {
	values map[string]value // by key
}

// readConfigFile reads the file at path. Each key must belong to a setting and have one
// value or a list of values.
func readConfigFile(path string, known map[string]setting) (configFile, faults) {
	root, err := readYAML(path)
	if err != nil {
		return configFile{}, faults{{"config", fmt.Sprintf("--config %q: %v", path, err)}}
	}
	if root == nil {
		return configFile{}, nil
	}
	byKey := make(map[string]setting, len(known))
	for _, s := range known {
		byKey[s.key] = s
	}
	file := configFile{values: make(map[string]value)}
	var found faults
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		place := fmt.Sprintf("%s:%d: %s", path, key.Line, key.Value)
		setting, ok := byKey[key.Value]
		switch {
		case !ok || key.Value == "":
			found = append(found, fault{"", fmt.Sprintf("%s:%d: %q is not a setting", path, key.Line, key.Value)})
			continue
		case file.values[key.Value].place != "":
			found = append(found, fault{setting.name, place + ": it is given twice"})
			continue
		}
		given, err := valueOf(root.Content[i+1], setting.list)
		if err != nil {
			found = append(found, fault{setting.name, place + ": " + err.Error()})
			continue
		}
		given.place = place
		file.values[key.Value] = given
	}
	return file, found
}

// readYAML returns the mapping in the file, nil if the file is empty.
func readYAML(path string) (*yaml.Node, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.Unwrap(err) // without the path, which the fault has
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it must hold one YAML document")
	}
	root := document.Content[0]
	switch {
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
		return nil, nil // comments alone
	case root.Kind != yaml.MappingNode:
		return nil, errors.New("it must hold settings, one per line: key: value")
	}
	return root, nil
}

// valueOf returns the value in a node: one value, or the items of a list if the setting
// takes several.
func valueOf(node *yaml.Node, list bool) (value, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.SequenceNode {
		text, err := textOf(node)
		return value{text: text}, err
	}
	if !list {
		return value{}, errors.New("want one value, not a list")
	}
	items := make([]string, len(node.Content))
	for i, item := range node.Content {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		text, err := textOf(item)
		if err != nil {
			return value{}, err
		}
		items[i] = text
	}
	return value{items: items}, nil
}

// textOf returns a scalar in the form of a flag.
func textOf(node *yaml.Node) (string, error) {
	switch {
	case node.Kind != yaml.ScalarNode:
		return "", errors.New("want a value or a list of values")
	case node.Tag == "!!null":
		return "", errors.New("it has no value")
	}
	return node.Value, nil
}
