//go:build !openssl

package gsi

import "crypto"

func accelerated(key crypto.Signer) crypto.Signer { return key }

func rsaSigner() string { return "crypto/rsa" }
