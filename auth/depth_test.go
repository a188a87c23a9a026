package auth_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/auth"
)

// TestLoadKeyring_deep reads a set that is nested deeper than any document may be.
func TestLoadKeyring_deep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	set := `{"keys":[],"more":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`
	if err := os.WriteFile(path, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.LoadKeyring(path); err == nil || !strings.Contains(err.Error(), "nested more than 500 levels deep") {
		t.Errorf("got %v", err)
	}
}
