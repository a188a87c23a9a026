package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// configFile is the settings in a YAML file.
type configFile struct {
	values map[string]value // by key
}

// readConfigFile reads the file at path. Each key must be that of a setting,
// with one value or a list of values.
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
		text, err := textOf(root.Content[i+1])
		if err != nil {
			found = append(found, fault{setting.name, place + ": " + err.Error()})
			continue
		}
		file.values[key.Value] = value{text, place}
	}
	return file, found
}

// readYAML returns the mapping that the file holds; nil: it is empty.
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
		return nil, errors.New("it must hold settings, one a line: key: value")
	}
	return root, nil
}

// textOf returns a value as a flag would have it.
func textOf(node *yaml.Node) (string, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return "", errors.New("it has no value")
	case node.Kind == yaml.ScalarNode:
		return node.Value, nil
	case node.Kind != yaml.SequenceNode:
		return "", errors.New("want a value or a list of values")
	}
	items := make([]string, len(node.Content))
	for i, item := range node.Content {
		text, err := textOf(item)
		if err != nil || item.Kind == yaml.SequenceNode {
			return "", errors.New("want a value or a list of values")
		}
		items[i] = text
	}
	return strings.Join(items, ","), nil
}
