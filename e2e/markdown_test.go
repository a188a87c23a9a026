package e2e_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// block is a fenced block of Markdown. The first word of a fence says what is in
// it:
//
//	sh             commands; they are run, one block after the other, in one shell
//	sh no-test: …  commands that are not run, and why
//	text           right after commands: what they print
//
// Blocks in other languages are left alone, but for those that would be a way
// around the first.
type block struct {
	line    int // of the fence
	lang    string
	info    string // what follows lang
	text    string
	follows bool // nothing stands between the block before and this one
}

// runnable is commands and what they print.
type runnable struct {
	block
	prints string
	shown  bool // prints is known
}

// blocks returns the fenced blocks of a text. What is indented, such as in a
// list, is taken out of its indent.
func blocks(markdown string) ([]block, error) {
	var found []block
	var open *block
	fence, indent, between := "", "", false
	number := 0
	for raw := range strings.Lines(markdown) {
		number++
		line := strings.TrimRight(raw, "\r\n")
		bare := strings.TrimLeft(line, " ")
		switch {
		case open != nil && isFence(bare, fence) && strings.Trim(bare, fence[:1]) == "":
			found = append(found, *open)
			open, between = nil, false
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case isFence(bare, "```") || isFence(bare, "~~~"):
			rest := strings.TrimLeft(bare, bare[:1])
			fence, indent = bare[:len(bare)-len(rest)], line[:len(line)-len(bare)]
			lang, info, _ := strings.Cut(strings.TrimSpace(rest), " ")
			open = &block{line: number, lang: lang, info: info, follows: len(found) > 0 && !between}
		case bare != "":
			between = true
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block has no end", open.line)
	}
	return found, nil
}

// isFence reports whether a line begins with a fence at least as long as that.
func isFence(line, fence string) bool { return strings.HasPrefix(line, fence) }

// runnables returns the commands of a README. The error joins all that is wrong
// with how they are marked.
func runnables(markdown string) ([]runnable, error) {
	all, err := blocks(markdown)
	if err != nil {
		return nil, err
	}
	return runnableBlocks(all)
}

func runnableBlocks(all []block) ([]runnable, error) {
	var run []runnable
	var faults []error
	last := "" // language of the block before
	for _, b := range all {
		fault := func(text string) { faults = append(faults, fmt.Errorf("line %d: %s", b.line, text)) }
		switch {
		case b.lang == "sh" && b.info == "":
			run = append(run, runnable{block: b})
		case b.lang == "sh" && !hasReason(b.info):
			fault("sh stands alone, or with no-test: and a reason")
		case b.lang == "text" && b.follows && last == "sh":
			run[len(run)-1].prints, run[len(run)-1].shown = b.text, true
		case b.lang == "text":
			fault("what is printed stands right after the commands that print it")
		case b.lang == "" || slices.Contains([]string{"bash", "console", "shell", "shell-session", "zsh"}, b.lang):
			fault(fmt.Sprintf("%q: commands are marked with sh, what they print with text", b.lang))
		}
		if last = b.lang; b.info != "" {
			last = "" // not run, so nothing is known of what it prints
		}
	}
	return run, errors.Join(faults...)
}

func hasReason(info string) bool {
	reason, found := strings.CutPrefix(info, "no-test:")
	return found && strings.TrimSpace(reason) != ""
}
