// Package run measures servers: it starts each as a process on a core of its own, loads it
// from another core, reads what it used from /proc and collects samples.
//
// It knows what to do to a server and which server can take it, and leaves what the numbers
// mean to package report. Linux only.
package run
