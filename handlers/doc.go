// Package handlers is Sluice over HTTP: it decodes requests, asks auth and
// broker, and encodes what they answer. Every error becomes a problem document
// in one place, problem.go; every route stands in one table, routes.go.
//
// It keeps no state of its own but counters. Neither a payload nor a token nor a
// query string is ever logged.
package handlers
