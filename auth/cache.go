package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"github.com/allegro/bigcache/v3"
)

// The cache of verified tokens: a power of two of shards, each of which begins
// with room for a few tokens and grows to its share of the limit. Together they
// begin with half a MiB.
const (
	cacheShards       = 16
	cacheFirstEntries = 64 * cacheShards
	cacheEntryBytes   = 512 // a token with a few grants
	mebibyte          = 1 << 20
)

// tokenCache remembers what verified tokens said, by their SHA-256. It may lose
// an entry at any time, which costs another verification. It is no authority:
// who takes an entry out checks all that can have changed since. A nil cache
// holds nothing.
type tokenCache struct {
	cache   *bigcache.BigCache
	evicted atomic.Uint64 // entries that went for want of room
}

// newTokenCache returns a cache that grows to about maxBytes, in whole MiB.
func newTokenCache(maxBytes int) (*tokenCache, error) {
	mebibytes := max(1, maxBytes/mebibyte)
	c := &tokenCache{}
	config := bigcache.Config{
		Shards:             cacheShards,
		LifeWindow:         MaxTTLLimit, // entries carry their own end
		MaxEntriesInWindow: cacheFirstEntries,
		MaxEntrySize:       cacheEntryBytes,
		HardMaxCacheSize:   mebibytes,
		Hasher:             seededHasher{maphash.MakeSeed()},
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

// seededHasher keeps outsiders from making tokens whose entries displace each
// other.
type seededHasher struct{ seed maphash.Seed }

// Sum64 implements [bigcache.Hasher]. The cache takes 0 for no entry.
func (h seededHasher) Sum64(key string) uint64 { return max(1, maphash.String(h.seed, key)) }
