// Package peers knows the servers that are measured: Sluice, the floor (its
// physical limit), and servers that anyone can install. It says how each is
// started and how it is spoken to; it measures nothing and imports nothing of
// Sluice.
//
// Every peer is set up as its own documentation says, delivers everything as far
// as it can be told to, and is shown by a test of this package to deliver
// everything, once and in order, to readers that keep up. What is known of each
// otherwise stands where it is defined.
package peers
