package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
)

// Where the grid keeps whom it trusts, where no flag or variable says otherwise.
const (
	gridTrustDir = "/etc/grid-security/certificates"
	gridVOMSDir  = "/etc/grid-security/vomsdir"
)

// trustDir returns the trust directory to use, as the Globus tools find it: the flag's, the one that X509_CERT_DIR
// names, the user's own or the grid's.
func trustDir(flag string) (string, error) {
	return firstTrustDir(cmp.Or(flag, os.Getenv("X509_CERT_DIR")), ownTrustDir(), gridTrustDir)
}

func firstTrustDir(named string, usual ...string) (string, error) {
	if named != "" {
		return named, nil
	}
	for _, dir := range usual {
		if _, err := os.Stat(dir); dir != "" && err == nil {
			return dir, nil
		}
	}
	return "", usagef("there is no trust directory: name one with --trust or X509_CERT_DIR, or put the CAs into %s", gridTrustDir)
}

// ownTrustDir is the user's own trust directory, "" for a user without a home.
func ownTrustDir() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".globus", "certificates")
}

// atTrustFlag says where the name of a trust directory is from that cannot be used: from a flag, if that was given.
func atTrustFlag(flag, given string, err error) error {
	if given == "" && err != nil {
		return fmt.Errorf("%w: name another with --%s or X509_CERT_DIR", err, flag)
	}
	return atFlag(flag, err, caDirectory)
}
