// Command server is sluice, under the name of its folder: go run ./server --dev starts a
// server to try things with. What is installed is ../cmd/sluice.
package main

import "github.com/sluicehq/sluice/server/program"

func main() { program.Main() }
