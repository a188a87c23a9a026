package disk

// recent is a cache of what was used lately. It has two generations: when the young one is
// full it becomes the old one, and the old one is dropped.
type recent[K comparable, V any] struct {
	young, old map[K]V
}

const perGeneration = 8192 // more than a group can touch

func (r *recent[K, V]) get(key K) (V, bool) {
	v, found := r.young[key]
	if found {
		return v, true
	}
	if v, found = r.old[key]; found {
		r.put(key, v)
	}
	return v, found
}

func (r *recent[K, V]) put(key K, v V) {
	if len(r.young) >= perGeneration || r.young == nil {
		r.young, r.old = make(map[K]V), r.young
	}
	r.young[key] = v
}

func (r *recent[K, V]) drop(key K) {
	delete(r.young, key)
	delete(r.old, key)
}
