// Package hangup tells when the reader of a program's output is gone. A program that waits
// for something to print would notice only when it has something.
package hangup
