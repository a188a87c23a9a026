package seededhash_test

import (
	"testing"

	"github.com/sluicehq/sluice/internal/seededhash"
)

func TestHasher(t *testing.T) {
	one, other := seededhash.New(), seededhash.New()
	if first, again := one.Sum64("key"), one.Sum64("key"); first != again {
		t.Error("the hash of a key changes")
	}
	if one.Sum64("key") == other.Sum64("key") {
		t.Error("two hashers have one seed")
	}
}
