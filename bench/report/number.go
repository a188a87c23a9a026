package report

import (
	"math"
	"strconv"
	"strings"
)

// number writes v with three digits that count, or all digits before the point, with commas.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return commas(strconv.FormatFloat(roundTo3(v), 'f', 0, 64))
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case a == 0:
		return "0"
	default:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
}

// roundTo3 drops digits that say nothing.
func roundTo3(v float64) float64 {
	unit := math.Pow(10, max(0, math.Floor(math.Log10(math.Abs(v)))-2))
	return math.Round(v/unit) * unit
}

// short writes v for an axis: 5k, 2M.
func short(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.size {
			return strconv.FormatFloat(v/u.size, 'g', 3, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func commas(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Whole writes a whole number with commas.
func Whole(v float64) string { return commas(strconv.FormatFloat(v, 'f', 0, 64)) }
