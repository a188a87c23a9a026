package auth_test

import (
	"os"
	"testing"

	"github.com/sluicehq/sluice/internal/leaktest"
)

func TestMain(m *testing.M) {
	if os.Getenv(bareFiles) != "" {
		denyLinksAndModes()
	}
	leaktest.Main(m)
}

// bareFiles is set in the environment of tests that run as on a file system that has
// no hard links and no modes, as SMB and exFAT are.
const bareFiles = "SLUICE_TEST_BARE_FILES"
