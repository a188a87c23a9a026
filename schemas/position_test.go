package schemas_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

func TestParsePosition(t *testing.T) {
	most := strings.Repeat(".7", schemas.MaxShards-1)
	tests := []struct {
		name string
		text string
		want []uint64
		ok   bool
	}{
		{"id", "k-7", []uint64{7}, true},
		{"id of a shard", "k.3-7", []uint64{7}, true},
		{"two", "k.v-0.18446744073709551615", []uint64{0, math.MaxUint64}, true},
		{"three", "k.v-12.0.1045", []uint64{12, 0, 1045}, true},
		{"most", "k.v-7" + most, nil, true},
		{"more", "k.v-7.7" + most, nil, false},
		{"one", "k.v-7", nil, false},
		{"none", "k.v-", nil, false},
		{"empty at the end", "k.v-1.", nil, false},
		{"empty in front", "k.v-.1", nil, false},
		{"leading zero", "k.v-1.02", nil, false},
		{"overflow", "k.v-1.18446744073709551616", nil, false},
		{"letter", "k.v-1.a", nil, false},
		{"no epoch", ".v-1.2", nil, false},
		{"upper case", "K.v-1.2", nil, false},
		{"two lists", "k.v-1.2.v-1.2", nil, false},
		{"list in an id", "k-1.2", nil, false},
		{"list in a shard", "k.1-1.2", nil, false},
		{"empty", "", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := schemas.ParsePosition(tt.text)
			if (err == nil) != tt.ok || tt.want != nil && !reflect.DeepEqual(got.Seqs, tt.want) {
				t.Fatalf("got %+v, %v; want %+v, ok %t", got, err, tt.want, tt.ok)
			}
			if !tt.ok && !errors.Is(err, schemas.ErrBadID) {
				t.Errorf("error %v is not ErrBadID", err)
			}
			if tt.ok && (got.Epoch != 20 || got.String() != tt.text) {
				t.Errorf("printed as %q", got)
			}
		})
	}
}

func TestPosition_In(t *testing.T) {
	tests := []struct {
		text          string
		shard, shards int
		want          uint64
		ok            bool
	}{
		{"k-7", 0, 0, 7, true},
		{"k-7", 1, 3, 7, false},
		{"k.2-7", 2, 3, 7, true},
		{"k.2-7", 2, 4, 7, true},
		{"k.2-7", 1, 3, 7, false},
		{"k.2-7", 0, 0, 7, false},
		{"k.v-7.8.9", 1, 3, 7, true},
		{"k.v-7.8.9", 3, 3, 9, true},
		{"k.v-7.8.9", 1, 2, 0, false},
		{"k.v-7.8.9", 1, 4, 0, false},
		{"k.v-7.8.9", 0, 0, 0, false},
	}
	for _, tt := range tests {
		p, err := schemas.ParsePosition(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if seq, ok := p.In(tt.shard, tt.shards); ok != tt.ok || ok && seq != tt.want {
			t.Errorf("%s in shard %d of %d: %d, %t", tt.text, tt.shard, tt.shards, seq, ok)
		}
	}
}

func TestPosition_JSON(t *testing.T) {
	for _, text := range []string{`"k-1"`, `"k.2-1"`, `"k.v-1.2"`} {
		var p schemas.Position
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		if back, err := json.Marshal(p); err != nil || string(back) != text {
			t.Errorf("%s was written as %s, %v", text, back, err)
		}
	}
	var p schemas.Position
	if err := json.Unmarshal([]byte(`"K-1"`), &p); err == nil {
		t.Errorf("was read as %v", p)
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"k3f9-1027", "k.1-0", "k.v-12.0.1045", "k.v-1", "0.v-0.0", "k.64-1", ".v-", "k.v-1.2.v-3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, idErr := schemas.ParseID(s)
		p, err := schemas.ParsePosition(s)
		if err != nil {
			if !reflect.DeepEqual(p, schemas.Position{}) || !errors.Is(err, schemas.ErrBadID) || idErr == nil {
				t.Fatalf("%q: got %v, %v; as an id %v, %v", s, p, err, id, idErr)
			}
			return
		}
		if p.String() != s {
			t.Fatalf("%q is printed as %q", s, p)
		}
		single := len(p.Seqs) == 1
		if single != (idErr == nil) || single && (id != schemas.ID{Epoch: p.Epoch, Shard: p.Shard, Seq: p.Seqs[0]}) {
			t.Fatalf("%q is %+v, and as an id %+v, %v", s, p, id, idErr)
		}
		if !single && (p.Shard != 0 || len(p.Seqs) < 2 || len(p.Seqs) > schemas.MaxShards) {
			t.Fatalf("%q is %+v", s, p)
		}
	})
}
