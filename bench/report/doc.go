// Package report turns the samples of a run into tables and plots.
//
// A sample is one server measured once. Samples whose deliveries were not all right are
// counted and shown, and never part of a median that others are compared with. The package
// measures nothing: what it is given can be reported again at any time.
package report
