package schemas_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

func TestByteSize(t *testing.T) {
	tests := []struct {
		text  string
		bytes int64
		print string
	}{
		{"0", 0, "0"},
		{"1", 1, "1"},
		{"1000", 1000, "1000"},
		{"1024", 1024, "1KiB"},
		{"61440", 61440, "60KiB"},
		{"60KiB", 61440, "60KiB"},
		{"61441", 61441, "61441"},
		{"1536KiB", 1536 << 10, "1536KiB"},
		{"1024KiB", 1 << 20, "1MiB"},
		{"1MiB", 1 << 20, "1MiB"},
		{"1GiB", 1 << 30, "1GiB"},
		{"2048GiB", 2 << 40, "2048GiB"},
		{"9223372036854775807", 1<<63 - 1, "9223372036854775807"},
		{"8589934591GiB", 8589934591 << 30, "8589934591GiB"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			var s schemas.ByteSize
			if err := s.UnmarshalText([]byte(tt.text)); err != nil || int64(s) != tt.bytes {
				t.Fatalf("got %d, %v; want %d", s, err, tt.bytes)
			}
			if s.String() != tt.print {
				t.Errorf("printed as %s, want %s", s, tt.print)
			}
			var back schemas.ByteSize
			text, _ := s.MarshalText()
			if err := back.UnmarshalText(text); err != nil || back != s {
				t.Errorf("%s is read back as %d, %v", text, back, err)
			}
		})
	}
	for _, text := range []string{
		"", "KiB", "-1", "+1", "1.5MiB", "1 MiB", "1MB", "1mib", "1kiB", "1TiB", "1MiBKiB", "0x10", "1_000",
		"9223372036854775808", "8589934592GiB", "9007199254740992KiB",
	} {
		s := schemas.ByteSize(7)
		if err := s.UnmarshalText([]byte(text)); !errors.Is(err, schemas.ErrBadSize) || s != 7 {
			t.Errorf("%q: got %d, %v; want ErrBadSize", text, s, err)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{
		"10m": "10m", "600s": "10m", "10m0s": "10m", "1h": "1h", "90m": "1h30m", "3601s": "1h0m1s", "10s": "10s",
		"1h30m": "1h30m", "100ms": "100ms", "0": "0s", "20h": "20h", "1h10m": "1h10m",
	} {
		var d schemas.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s: got %s, %v; want %s", text, d, err, want)
		}
		if std, _ := time.ParseDuration(want); d.Std() != std {
			t.Errorf("%s: %v, want %v", text, d.Std(), std)
		}
	}
	for _, text := range []string{"", "10", "10 m", "m", "1d"} {
		d := schemas.Duration(7)
		if err := d.UnmarshalText([]byte(text)); !errors.Is(err, schemas.ErrBadDuration) || d != 7 {
			t.Errorf("%q: got %v, %v; want ErrBadDuration", text, d, err)
		}
	}
}
