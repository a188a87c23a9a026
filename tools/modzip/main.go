// Command modzip writes the file that a Go module proxy has of a version of this module:
//
//	modzip DIR VERSION FILE
//
// DIR has the files of the module, as git archive writes them.
package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// path is the path of the module.
const path = "github.com/sluicehq/sluice"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "modzip:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: modzip DIR VERSION FILE")
	}
	dir, version := args[0], module.Version{Path: path, Version: args[1]}
	if err := module.Check(version.Path, version.Version); err != nil {
		return err
	}
	file, err := os.Create(args[2])
	if err != nil {
		return err
	}
	return errors.Join(zip.CreateFromDir(file, version, dir), file.Close())
}
