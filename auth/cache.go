package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"

	"github.com/allegro/bigcache/v3"

	"github.com/sluicehq/sluice/internal/seededhash"
)

// The number of shards in the cache of verified tokens is a power of two. Each shard begins
// with room for a few tokens, together half a MiB, and grows to its share of the limit.
const (
	cacheShards       = 16
	cacheFirstEntries = 64 * cacheShards
	cacheEntryBytes   = 512 // a token with a few grants
	mebibyte          = 1 << 20
)

// tokenCache remembers verified tokens by their SHA-256. It may lose an entry at any time,
// which costs another verification. It does not decide: whoever takes an entry checks
// everything that may have changed since. A nil cache is always empty.
type tokenCache struct {
	cache   *bigcache.BigCache
	evicted atomic.Uint64 // entries that were evicted because the cache was full
}

// newTokenCache returns a cache that grows to about maxBytes, in whole MiB.
func newTokenCache(maxBytes int) (*tokenCache, error) {
	mebibytes := max(1, maxBytes/mebibyte)
	c := &tokenCache{}
	config := bigcache.Config{
		Shards:             cacheShards,
		LifeWindow:         MaxTTLLimit, // entries have their own expiry
		MaxEntriesInWindow: cacheFirstEntries,
		MaxEntrySize:       cacheEntryBytes,
		HardMaxCacheSize:   mebibytes,
		Hasher:             seededhash.New(), // nobody can make tokens whose entries evict each other
		OnRemoveWithReason: c.removed,
	}.OnRemoveFilterSet(bigcache.NoSpace)
	cache, err := bigcache.New(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("auth: token cache: %w", err)
	}
	c.cache = cache
	return c, nil
}

// removed is called with a shard locked.
func (c *tokenCache) removed(string, []byte, bigcache.RemoveReason) { c.evicted.Add(1) }

func (c *tokenCache) get(digest [sha256.Size]byte) (cachedToken, bool) {
	if c == nil {
		return cachedToken{}, false
	}
	entry, err := c.cache.Get(string(digest[:]))
	if err != nil {
		return cachedToken{}, false
	}
	return decodeCached(entry)
}

func (c *tokenCache) put(digest [sha256.Size]byte, token cachedToken) {
	if c == nil {
		return
	}
	// An entry is smaller than its token, and a shard of the smallest cache holds
	// four of the longest: it always fits.
	_ = c.cache.Set(string(digest[:]), token.append(nil))
}

func (c *tokenCache) len() int {
	if c == nil {
		return 0
	}
	return c.cache.Len()
}

func (c *tokenCache) evictions() uint64 {
	if c == nil {
		return 0
	}
	return c.evicted.Load()
}
