// Package texts publishes texts piece by piece, such as the answer of a model or a log, and
// sees to it that each has one publisher at a time.
//
// A text whose publisher chose its stream id can go on after the publisher's connection
// was lost, and a later attempt can replace an earlier one, through any node. Who may
// write it is decided by its record, see [engine.Text]. [Open] sets the record first.
// From then on the pieces of all other writers are refused, so what is held of the text
// then is all that there will be, and the new writer knows where to go on.
package texts
