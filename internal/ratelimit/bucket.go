package ratelimit

import (
	"math"
	"time"
)

// bucket is a token bucket without its level: the same for all callers of a kind.
type bucket struct {
	rate  int64 // a second; 0: no limit
	burst time.Duration
}

// slack is what may be missing in a bucket, so that rounding refuses nobody what a limit allows.
const slack = 1e-6

// size returns how much the bucket holds.
func (b bucket) size() float64 { return float64(b.rate) * b.burst.Seconds() }

// refilled returns the level of the bucket some time after it was level.
func (b bucket) refilled(level float64, after time.Duration) float64 {
	return min(b.size(), level+float64(b.rate)*after.Seconds())
}

// wait returns how long n have to wait at the level, 0 if there is enough now.
func (b bucket) wait(level float64, n int64) time.Duration {
	missing := min(float64(n), b.size()) - level
	if b.rate == 0 || n == 0 || missing <= slack {
		return 0
	}
	return time.Duration(min(math.Ceil(missing/float64(b.rate)*float64(time.Second)), maxWait))
}

// maxWait is the longest wait: a month. More cannot be told anyway.
const maxWait = float64(31 * 24 * time.Hour)

// left returns how much a caller may use at the level.
func (b bucket) left(level float64) int64 { return max(0, int64(level+slack)) }

// window is the burst in whole seconds.
func (b bucket) window() int64 { return max(1, int64(b.burst/time.Second)) }

// levels are the buckets of one caller at some time.
type levels struct {
	at time.Duration // on the clock of [Limits]
	of [units]float64
}

// refill moves the levels to now.
func (l *levels) refill(buckets *[units]bucket, now time.Duration) {
	if now <= l.at {
		return // whoever was here before has a later time
	}
	for unit, b := range buckets {
		l.of[unit] = b.refilled(l.of[unit], now-l.at)
	}
	l.at = now
}

// fullAt returns when all buckets are full again.
func (l *levels) fullAt(buckets *[units]bucket) time.Duration {
	at := l.at
	for unit, b := range buckets {
		if b.rate > 0 {
			missing := (b.size() - l.of[unit]) / float64(b.rate)
			at = max(at, l.at+time.Duration(min(missing*float64(time.Second), maxWait)))
		}
	}
	return at
}
