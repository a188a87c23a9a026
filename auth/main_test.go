package auth_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(bareFiles) != "" {
		denyLinksAndModes()
	}
	goleak.VerifyTestMain(m)
}

// bareFiles is set in the environment of tests that run as on a file system that has
// no hard links and no modes, as SMB and exFAT are.
const bareFiles = "SLUICE_TEST_BARE_FILES"
