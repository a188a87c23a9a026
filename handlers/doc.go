// Package handlers is the HTTP API of Sluice. It decodes requests, calls auth and broker,
// and encodes their answers. One file, problem.go, turns every error into a problem
// document; one table, in routes.go, has every route.
//
// The package has no state except counters. It never logs a payload, a token or a query
// string.
package handlers
