package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

// The operations. The last three are gsigw's alone: what a signature cannot do without.
const (
	opSign   = "sign"
	opVerify = "verify"
	opRSA    = "rsa"
	opScan   = "scan"
	opHash   = "hash"
)

// The peers.
const (
	gsigw   = "gsigw"
	openssl = "gsigw (openssl)"
	wss4j   = "WSS4J"
	xmlsec  = "xmlsec1"
)

// testCase is a row of the table.
type testCase struct {
	op, digest, shape string
	size              int
	dir               string
}

func (c testCase) String() string {
	return fmt.Sprintf("%-6s %5s %-8s %-6s", c.op, sizeName(c.size), c.shape, c.digest)
}

func sizeName(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d KB", n>>10)
}

// measuredWith reports whether the case is one for that peer.
func (c testCase) measuredWith(peer string) bool {
	switch c.op {
	case opRSA:
		return peer == gsigw || peer == openssl
	case opScan, opHash:
		return peer == gsigw
	case opVerify:
		return peer != openssl // the key that is used is a public one
	}
	return true
}

// file is the message that the operation is done on.
func (c testCase) file() string {
	if c.op == opVerify {
		return c.name("signed-" + c.digest)
	}
	return c.name("plain")
}

// xmlsec1File is file for xmlsec1, which signs templates.
func (c testCase) xmlsec1File() string {
	if c.op == opVerify {
		return c.file()
	}
	return c.name("template-" + c.digest)
}

func (c testCase) name(kind string) string {
	return filepath.Join(c.dir, fmt.Sprintf("%s-%s-%d.xml", kind, c.shape, c.size))
}

// writeCases writes the messages and gives the rows: every size, signed and verified, small elements with both
// digests, the rest with SHA-256.
func (o options) writeCases(g *grid) ([]testCase, error) {
	cases := []testCase{{opRSA, "sha256", cmp.Or(o.shape, elements), 2 << 10, g.dir}}
	for _, kind := range []struct{ shape, digest string }{{elements, "sha256"}, {elements, "sha1"}, {text, "sha256"}, {blob, "sha256"}} {
		if o.shape != "" && o.shape != kind.shape || o.digest != "" && o.digest != kind.digest {
			continue
		}
		for _, size := range []int{2 << 10, 20 << 10, 1 << 20, 20 << 20} {
			c := testCase{opSign, kind.digest, kind.shape, size, g.dir}
			if err := c.write(g); err != nil {
				return nil, err
			}
			cases = append(cases, c)
			c.op = opVerify
			cases = append(cases, c)
			c.op = opHash
			cases = append(cases, c)
			if c.op = opScan; size == 20<<20 && kind.digest == "sha256" {
				cases = append(cases, c)
			}
		}
	}
	return cases, nil
}

// write writes the message as it is, as gsigw signs it (what all verify) and as xmlsec1 wants it.
func (c testCase) write(g *grid) error {
	plain := message(c.shape, c.size)
	m, err := soap.Read(xmlscan.Memory(plain), soap.Limits{})
	if err != nil {
		return err
	}
	digest, err := wssec.ParseDigest(c.digest)
	if err != nil {
		return err
	}
	edit, _, err := (&wssec.GSIMessage{Digest: digest, Lifetime: 12 * time.Hour}).Secure(context.Background(), m, g.credential)
	if err != nil {
		return err
	}
	signed := make([]byte, edit.Size())
	if _, err := edit.ReadAt(signed, 0); err != nil {
		return err
	}
	for kind, b := range map[string][]byte{"plain": plain, "signed-" + c.digest: signed, "template-" + c.digest: template(signed)} {
		if err := os.WriteFile(c.name(kind), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
