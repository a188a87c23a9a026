// Package web holds what Sluice serves to browsers: the page at its root, plain
// files that load nothing from elsewhere, and the SDK as one module, built from
// src/ by make dist. The page runs under a policy that allows scripts, styles,
// images and connections of the same origin only, nothing inline. The package
// knows nothing of HTTP.
package web

import (
	"embed"
	"io/fs"
)

//go:embed page dist/sluice.js
var embedded embed.FS

// Files returns index.html and all that it loads, side by side in one folder,
// and the SDK's module as sdk/sluice.js, which is in no listing.
func Files() fs.FS { return files{} }

type files struct{}

// Open opens by the names that browsers ask for, not by those in the sources.
func (files) Open(name string) (fs.File, error) {
	switch name {
	case "sdk/sluice.js":
		return embedded.Open("dist/sluice.js")
	case ".":
		return embedded.Open("page")
	}
	return embedded.Open("page/" + name)
}
