package handlers

import (
	"bufio"
	"slices"
)

// Mapped returns the errors that have a place in the table of answers.
func Mapped() []error {
	var all []error
	for _, m := range mappings() {
		all = append(all, m.err)
	}
	return all
}

// KindOf returns the last part of the problem's type that err becomes.
func KindOf(err error) string { return string(kindOf(err)) }

// Kinds returns every kind of problem with its status.
func Kinds() map[string]int {
	all := map[string]int{}
	for _, s := range specs() {
		all[string(s.kind)] = s.status
	}
	return all
}

// ReadLine is readLine.
func ReadLine(in *bufio.Reader, limit int) ([]byte, error) {
	line, err := readLine(in, limit)
	return slices.Clone(line), err
}

// Whole is whole.
func Whole(text []byte, most int) int { return whole(text, most) }

// What the tests reach for.
const (
	MaxBatch   = maxBatch
	MaxChunk   = maxChunk
	ChunkDelay = chunkDelay
)
