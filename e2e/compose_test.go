package e2e_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composed is what the test reads of compose.yaml.
type composed struct {
	Services map[string]struct {
		Command     []string
		Environment map[string]string
		Volumes     []string
	}
	Volumes map[string]any
}

// TestCompose runs the commands of compose.yaml with folders in place of its
// volumes. What was published is there again when only the volumes are left of
// the container.
func TestCompose(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file composed
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "api_keys")
	replace(t, key, []byte(testKey))
	paths := []string{"/run/secrets/api_keys", key}
	service, keys := file.Services["sluice"], file.Services["keys"]
	volumes := t.TempDir()
	for _, volume := range service.Volumes {
		name, inside, _ := strings.Cut(volume, ":")
		if _, found := file.Volumes[name]; !found {
			t.Errorf("%s is not a volume that outlasts its container", name)
		}
		inside, _, _ = strings.Cut(inside, ":")
		folder := filepath.Join(volumes, name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, inside+"/", folder+"/", inside, folder)
	}
	outside := strings.NewReplacer(paths...)

	var args, environ []string
	for _, arg := range keys.Command {
		args = append(args, outside.Replace(arg))
	}
	launch(t, nil, nil, "sluice", args...).succeeds(t)
	unset := regexp.MustCompile(`\$\{\w+:-([^}]*)\}`) // and the default of the variable
	for _, name := range slices.Sorted(maps.Keys(service.Environment)) {
		environ = append(environ, name+"="+outside.Replace(unset.ReplaceAllString(service.Environment[name], "$1")))
	}

	s := serve(t, environ, "sluice")
	s.publish(t, runChannel, "status", `{"message":"kept"}`)
	s.kill()
	s = serve(t, environ, "sluice")
	var history struct {
		Messages []struct{ Data struct{ Message string } }
	}
	s.call(t, "GET", "/v1/channels/"+runChannel+"/messages", "", &history)
	if len(history.Messages) != 1 || history.Messages[0].Data.Message != "kept" {
		t.Errorf("after a restart there is %+v", history.Messages)
	}
}
