// Package rawio reads from and writes to TCP connections with system calls that Go's
// scheduler is not told of.
//
// A call on a descriptor that does not block returns at once, so there is nothing to tell.
// Telling costs up to twice the call: an idle process wakes the thread that watches over
// long calls, and that thread goes to sleep again. What has to wait does so as in package
// net, and deadlines, errors and Close are those of that package.
//
// It works on Linux. Elsewhere, connections stay as they are.
package rawio
