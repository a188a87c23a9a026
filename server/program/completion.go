package program

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd is the command completion.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help implements [kong.HelpProvider].
func (*completionCmd) Help() string {
	return `Load the script where your shell starts.

Examples:

    source <(sluice completion bash)                                      # in ~/.bashrc
    source <(sluice completion zsh)                                       # in ~/.zshrc, after compinit
    sluice completion fish > ~/.config/fish/completions/sluice.fish`
}

// completionScripts ask the program itself, so that they are never out of date.
var completionScripts = map[string]string{
	"bash": `_sluice() {
  local IFS=$'\n'
  COMPREPLY=($("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -F _sluice sluice
`,
	"zsh": `#compdef sluice
_sluice() {
  local line
  local -a found
  for line in "${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  (( $#found )) && _describe sluice found || _files
}
compdef _sluice sluice
`,
	"fish": `complete -c sluice -a '(sluice __complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`,
}

// Run implements the command.
func (c *completionCmd) Run(std *streams) error {
	_, err := io.WriteString(std.out, completionScripts[c.Shell])
	return err
}

// completeCmd is the command __complete, which the scripts call.
type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:"" help:"The words of the command line after the program, up to the one under the cursor."`
}

// Run prints a line for each word that can stand at the end: the word, a tab and what it is.
func (c *completeCmd) Run(std *streams, app *kong.Application) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	for _, candidate := range candidates(app, words[:len(words)-1], words[len(words)-1]) {
		if _, err := fmt.Fprintln(std.out, candidate); err != nil {
			return err
		}
	}
	return nil
}

// candidates returns what can come after the words before and begins with the partial word.
func candidates(app *kong.Application, before []string, partial string) []string {
	node, flags := app.Node, flagsOf(app.Node, app.DefaultCmd)
	var awaited *kong.Flag // takes the next word as its value
	for _, word := range before {
		switch {
		case awaited != nil:
			awaited = nil
		case strings.HasPrefix(word, "-"):
			if flag := flags[word]; flag != nil && !flag.IsBool() {
				awaited = flag
			}
		default:
			if i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == word }); i >= 0 {
				node = node.Children[i]
				flags = flagsOf(app.Node, node)
			}
		}
	}
	var found []string
	offer := func(word, help string) {
		if help, _, _ = strings.Cut(help, ". "); strings.HasPrefix(word, partial) {
			found = append(found, word+"\t"+strings.TrimSuffix(help, "."))
		}
	}
	switch {
	case awaited != nil:
		for _, value := range valuesOf(awaited.Value) {
			offer(value, awaited.Help)
		}
	case strings.HasPrefix(partial, "-"):
		for name, flag := range flags {
			offer(name, flag.Help)
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				offer(child.Name, child.Help)
			}
		}
		for _, argument := range node.Positional {
			for _, value := range valuesOf(argument) {
				offer(value, argument.Help)
			}
		}
	}
	slices.Sort(found)
	return found
}

// flagsOf returns the flags of the nodes as they are written.
func flagsOf(nodes ...*kong.Node) map[string]*kong.Flag {
	flags := make(map[string]*kong.Flag)
	for _, node := range nodes {
		for _, flag := range node.Flags {
			if !flag.Hidden {
				flags["--"+flag.Name] = flag
			}
		}
	}
	return flags
}

// valuesOf returns the values that a flag or an argument can have, none if it can have any.
func valuesOf(value *kong.Value) []string {
	if value.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(strings.Split(value.Enum, ","), func(v string) bool { return v == "" })
}
