// Package web holds the page that Sluice serves at its root: plain files,
// embedded into the binary, that load nothing from elsewhere. They run under a
// policy that allows scripts, styles, images and connections of the same origin
// only, nothing inline. The package knows nothing of HTTP.
package web

import (
	"embed"
	"io/fs"
)

//go:embed index.html style.css favicon.svg
//go:embed app.js feed.js json.js notes.js problem.js publish.js settings.js sse.js stream.js
var files embed.FS

// Files returns index.html and all that it loads, side by side in one folder.
func Files() fs.FS { return files }
