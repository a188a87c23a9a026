package schemas

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ByteSize is a number of bytes. A parsed one is never negative. Its text is a decimal
// number, alone or with KiB, MiB or GiB: 61440, 60KiB, 1MiB.
type ByteSize int64

// The units that the text of a [ByteSize] may end in.
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
)

// String returns the shortest exact text: 1MiB, 60KiB, 61441.
func (s ByteSize) String() string {
	switch {
	case s == 0:
		return "0"
	case s%GiB == 0:
		return strconv.FormatInt(int64(s/GiB), 10) + "GiB"
	case s%MiB == 0:
		return strconv.FormatInt(int64(s/MiB), 10) + "MiB"
	case s%KiB == 0:
		return strconv.FormatInt(int64(s/KiB), 10) + "KiB"
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText implements [encoding.TextMarshaler].
func (s ByteSize) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It returns [ErrBadSize].
func (s *ByteSize) UnmarshalText(text []byte) error {
	number, unit := string(text), ByteSize(1)
	for _, u := range []ByteSize{KiB, MiB, GiB} {
		if cut, ok := strings.CutSuffix(number, u.String()[1:]); ok {
			number, unit = cut, u
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return fmt.Errorf("%w: want a number of bytes such as 65536, 64KiB, 1MiB or 1GiB", ErrBadSize)
	}
	if ByteSize(n) > math.MaxInt64/unit {
		return fmt.Errorf("%w: too large", ErrBadSize)
	}
	*s = ByteSize(n) * unit
	return nil
}

// Duration is a duration in the format of [time.ParseDuration], written without units that
// are zero: 10m, not 10m0s.
type Duration time.Duration

// Std returns d as a [time.Duration].
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the text form.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It returns
// [ErrBadDuration].
func (d *Duration) UnmarshalText(text []byte) error {
	std, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%w: want a number with a unit such as 90s, 10m or 1h30m", ErrBadDuration)
	}
	*d = Duration(std)
	return nil
}
