package gsi_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"testing"

	"gsigw/gsi"
)

// path encodes certificates in the order given.
func path(certs ...*x509.Certificate) []byte {
	var body []byte
	for _, c := range certs {
		body = append(body, c.Raw...)
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body})
	if err != nil {
		panic(err)
	}
	return der
}

func TestPKIPath_RunsFromTheEndEntityToTheLeafWithoutTheCA(t *testing.T) {
	pki := newPKI(t)
	chain := mint(t, mint(t, pki.User, gsi.Limits{}), gsi.Limits{}).Chain
	want := path(chain[2], chain[1], chain[0])
	if got := gsi.MarshalPKIPath(append(slices.Clone(chain), pki.CA.Cert)); !bytes.Equal(got, want) {
		t.Errorf("wrote %x", got)
	}
	got, err := gsi.ParsePKIPath(want, 3)
	if err != nil || len(got) != 3 || !got[0].Equal(chain[0]) || !got[2].Equal(chain[2]) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err = gsi.ParsePKIPath(path(pki.CA.Cert, chain[2], chain[1]), 3); err != nil || !got[2].Equal(pki.CA.Cert) {
		t.Errorf("with the CA in front: %v", err)
	}
}

func TestParsePKIPath_Refuses(t *testing.T) {
	pki := newPKI(t)
	c := mint(t, mint(t, pki.User, gsi.Limits{}), gsi.Limits{}).Chain
	good := path(c[2], c[1], c[0])
	for name, test := range map[string]struct {
		der  []byte
		want error
	}{
		"leaf first":           {path(c...), gsi.ErrPathReverse},
		"out of order":         {path(c[1], c[2], c[0]), gsi.ErrPathOrder},
		"a certificate missed": {path(c[2], c[0]), gsi.ErrPathOrder},
		"too many":             {path(pki.CA.Cert, c[2], c[1], c[0]), gsi.ErrPathLimit},
		"trailing byte":        {append(slices.Clone(good), 0), nil},
		"cut short":            {good[:len(good)-1], nil},
		"empty":                {path(), nil},
		"a certificate alone":  {c[0].Raw, nil},
		"a set":                {append([]byte{0x31}, good[1:]...), nil},
		"nothing":              {nil, nil},
	} {
		chain, err := gsi.ParsePKIPath(test.der, 3)
		if err == nil || (test.want != nil && !errors.Is(err, test.want)) {
			t.Errorf("%s: %v, %v", name, chain, err)
		}
	}
}

func FuzzParsePKIPath(f *testing.F) {
	pki := newPKI(f)
	f.Add(path(pki.User.Leaf()))
	f.Add(path(pki.CA.Cert, pki.User.Leaf()))
	f.Fuzz(func(t *testing.T, der []byte) {
		chain, err := gsi.ParsePKIPath(der, 4)
		if err == nil && (len(chain) == 0 || len(chain) > 4) {
			t.Errorf("%d certificates", len(chain))
		}
	})
}
