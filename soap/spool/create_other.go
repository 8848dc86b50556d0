//go:build !linux

package spool

import "os"

func createFile(dir string) (*os.File, error) { return createNamed(dir) }

// InMemory reports whether a directory lies in memory, where spooling saves none. Here nobody knows.
func InMemory(string) bool { return false }
