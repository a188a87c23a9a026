// Package web holds what Sluice serves to browsers and to npm: the page at its root, the
// dashboard, whose files load nothing from elsewhere; the SDK as one module; and the SDK as a
// package. make dist builds the page from dashboard/, and the SDK from src/. The page runs under a policy that allows scripts, styles,
// images and connections of the same origin only, nothing inline. The package knows nothing
// of HTTP.
package web

import (
	"embed"
	"io/fs"
	"sync"
)

// What is beside the page is the npm package.
//
//go:embed page dist package.json README.md LICENSE NOTICE
var embedded embed.FS

// Files returns index.html and all that it loads, side by side in one folder, the SDK's
// module as sdk/sluice.js, and its package as sdk/sluice.tgz. The last two are in no
// listing, and the package can only be read as a whole ([fs.ReadFile]).
func Files() fs.FS { return &files{pack: sync.OnceValues(pack)} }

type files struct {
	pack func() ([]byte, error)
}

// Open opens by the names that browsers ask for, not by those in the sources.
func (*files) Open(name string) (fs.File, error) {
	switch name {
	case "sdk/sluice.js":
		return embedded.Open("dist/sluice.js")
	case ".":
		return embedded.Open("page")
	}
	return embedded.Open("page/" + name)
}

// ReadFile implements [fs.ReadFileFS].
func (f *files) ReadFile(name string) ([]byte, error) {
	switch name {
	case "sdk/sluice.tgz":
		return f.pack()
	case "sdk/sluice.js":
		return embedded.ReadFile("dist/sluice.js")
	}
	return embedded.ReadFile("page/" + name)
}
