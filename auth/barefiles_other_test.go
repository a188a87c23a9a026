//go:build !linux

package auth_test

func denyLinksAndModes() {}
