package schemas_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

func TestParseID(t *testing.T) {
	tests := []struct {
		name string
		text string
		want schemas.ID
		ok   bool
	}{
		{"usual", "k3f9-1027", schemas.ID{Epoch: 937557, Seq: 1027}, true},
		{"zeros", "0-0", schemas.ID{}, true},
		{"largest", "3w5e11264sgsf-18446744073709551615", schemas.ID{Epoch: math.MaxUint64, Seq: math.MaxUint64}, true},
		{"epoch overflows", "3w5e11264sgsg-1", schemas.ID{}, false},
		{"sequence overflows", "1-18446744073709551616", schemas.ID{}, false},
		{"upper case", "K3F9-1", schemas.ID{}, false},
		{"leading zero in epoch", "0k-1", schemas.ID{}, false},
		{"leading zero in sequence", "k-01", schemas.ID{}, false},
		{"double zero", "00-0", schemas.ID{}, false},
		{"sign", "k-+1", schemas.ID{}, false},
		{"negative", "k--1", schemas.ID{}, false},
		{"underscore", "k-1_0", schemas.ID{}, false},
		{"hexadecimal", "k-0x1", schemas.ID{}, false},
		{"letters in sequence", "k-a", schemas.ID{}, false},
		{"third part", "k-1-1", schemas.ID{}, false},
		{"no dash", "k1", schemas.ID{}, false},
		{"no epoch", "-1", schemas.ID{}, false},
		{"no sequence", "k-", schemas.ID{}, false},
		{"empty", "", schemas.ID{}, false},
		{"space", "k-1 ", schemas.ID{}, false},
		{"line feed", "k-1\n", schemas.ID{}, false},
		{"other digits", "k-١", schemas.ID{}, false},
		{"shard: first", "k3f9.1-1027", schemas.ID{Epoch: 937557, Shard: 1, Seq: 1027}, true},
		{"shard: last", "k.64-0", schemas.ID{Epoch: 20, Shard: 64}, true},
		{"shard: none", "k.0-1", schemas.ID{}, false},
		{"shard: too many", "k.65-1", schemas.ID{}, false},
		{"shard: empty", "k.-1", schemas.ID{}, false},
		{"shard: leading zero", "k.01-1", schemas.ID{}, false},
		{"shard: negative", "k.-1-1", schemas.ID{}, false},
		{"shard: a letter", "k.a-1", schemas.ID{}, false},
		{"shard: two", "k.1.2-1", schemas.ID{}, false},
		{"shard: overflow", "k.18446744073709551617-1", schemas.ID{}, false},
		{"shard: a position in several", "k.v-1.2", schemas.ID{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := schemas.ParseID(tt.text)
			if (err == nil) != tt.ok || got != tt.want {
				t.Fatalf("got %+v, %v; want %+v, ok %t", got, err, tt.want, tt.ok)
			}
			if !tt.ok && !errors.Is(err, schemas.ErrBadID) {
				t.Errorf("error %v is not ErrBadID", err)
			}
			if tt.ok && got.String() != tt.text {
				t.Errorf("printed as %q", got)
			}
		})
	}
}

func TestID_JSON(t *testing.T) {
	id := schemas.ID{Epoch: 937557, Seq: 7}
	text, err := json.Marshal(map[schemas.ID]schemas.ID{id: id})
	if err != nil || string(text) != `{"k3f9-7":"k3f9-7"}` {
		t.Fatalf("got %s, %v", text, err)
	}
	var back map[schemas.ID]schemas.ID
	if err := json.Unmarshal(text, &back); err != nil || back[id] != id {
		t.Errorf("read back as %v, %v", back, err)
	}
	for _, bad := range []string{`"K-1"`, `""`, `1`} {
		var into schemas.ID
		if err := json.Unmarshal([]byte(bad), &into); err == nil {
			t.Errorf("%s was read as %v", bad, into)
		}
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"k3f9-1027", "0-0", "00-1", "3w5e11264sgsf-18446744073709551615", "-", "A-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := schemas.ParseID(s)
		if err != nil {
			if id != (schemas.ID{}) || !errors.Is(err, schemas.ErrBadID) {
				t.Fatalf("%q: got %v, %v", s, id, err)
			}
			return
		}
		if id.String() != s {
			t.Fatalf("%q is printed as %q", s, id)
		}
		if again, err := schemas.ParseID(id.String()); err != nil || again != id {
			t.Fatalf("%v is read back as %v, %v", id, again, err)
		}
	})
}
