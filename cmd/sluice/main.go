// Command sluice is the server and its command-line tools: sluice --dev starts a server
// to try things with, sluice --help lists the commands.
package main

import "github.com/sluicehq/sluice/server/program"

func main() { program.Main() }
