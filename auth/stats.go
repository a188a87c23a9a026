package auth

import (
	"sync/atomic"
	"time"
)

// Stats are counters and current figures of an [Authority].
type Stats struct {
	CacheHits           uint64 // tokens that were not verified again
	CacheMisses         uint64 // tokens that were not in the cache, or no longer valid there
	CacheEvictions      uint64 // entries that were evicted because the cache was full
	CacheEntries        int    // entries held
	VerificationsOK     uint64
	VerificationsFailed uint64
	JWKSFetchesOK       uint64
	JWKSFetchesFailed   uint64
	Revocations         int // revoked token ids held

	KeyRequests map[string]uint64 // by the name of an API key of the file: how often it was authenticated
}

type counts struct {
	cacheHits, cacheMisses               atomic.Uint64
	verificationsOK, verificationsFailed atomic.Uint64
	fetchesOK, fetchesFailed             atomic.Uint64
}

// Stats returns the counters. Safe for concurrent use.
func (a *Authority) Stats() Stats {
	return Stats{
		CacheHits:           a.counts.cacheHits.Load(),
		CacheMisses:         a.counts.cacheMisses.Load(),
		CacheEvictions:      a.cache.evictions(),
		CacheEntries:        a.cache.len(),
		VerificationsOK:     a.counts.verificationsOK.Load(),
		VerificationsFailed: a.counts.verificationsFailed.Load(),
		JWKSFetchesOK:       a.counts.fetchesOK.Load(),
		JWKSFetchesFailed:   a.counts.fetchesFailed.Load(),
		Revocations:         a.revocations.len(time.Now()),
		KeyRequests:         a.named.requests(),
	}
}
