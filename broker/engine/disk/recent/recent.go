// Package recent remembers what was used lately, in bounded memory.
package recent

// Cache is a cache of what was used lately. It has two generations: when the young one is
// full it becomes the old one, and the old one is dropped. The zero value is empty. It is not
// safe for concurrent use.
type Cache[K comparable, V any] struct {
	young, old map[K]V
}

const perGeneration = 8192 // more than a group can touch

// Get returns the value of a key, and whether there is one.
func (r *Cache[K, V]) Get(key K) (V, bool) {
	v, found := r.young[key]
	if found {
		return v, true
	}
	if v, found = r.old[key]; found {
		r.Put(key, v)
	}
	return v, found
}

// Put sets the value of a key.
func (r *Cache[K, V]) Put(key K, v V) {
	if len(r.young) >= perGeneration || r.young == nil {
		r.young, r.old = make(map[K]V), r.young
	}
	r.young[key] = v
}

// Drop forgets a key.
func (r *Cache[K, V]) Drop(key K) {
	delete(r.young, key)
	delete(r.old, key)
}
