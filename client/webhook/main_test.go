package webhook_test

import (
	"testing"

	"github.com/sluicehq/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
