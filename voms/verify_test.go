package voms_test

import (
	"crypto/x509"
	"testing"
	"time"

	"gsigw/internal/gridtest"
	"gsigw/trust"
	"gsigw/voms"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newGrid(t testing.TB) *gridtest.VOMSGrid {
	t.Helper()
	g, err := gridtest.NewVOMSGrid(t.TempDir(), gridtest.PKIOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// open reads the grid's vomsdir as it now is.
func open(t testing.TB, g *gridtest.VOMSGrid, o voms.Options) *voms.Dir {
	t.Helper()
	store, err := trust.Open(g.TrustDir, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.Trust = store
	dir, err := voms.Open(g.VOMSDir, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func verify(t testing.TB, d *voms.Dir, chain []*x509.Certificate) *voms.Result {
	t.Helper()
	result, err := d.Verify(chain, now)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestVerify_ChecksEveryRule(t *testing.T) {
	for _, c := range gridtest.VOMSCases {
		t.Run(c.Name, func(t *testing.T) {
			g := newGrid(t)
			chain := c.Make(g)
			result := verify(t, open(t, g, voms.Options{Hosts: []string{gridtest.VOMSTarget}}), chain)
			var code voms.Code
			for _, refused := range result.Refused {
				code = refused.Code
				t.Log(refused)
				if refused.Remedy == "" {
					t.Error("without a remedy")
				}
			}
			if string(code) != c.Code {
				t.Errorf("refused for %q, want %q", code, c.Code)
			}
			if (len(result.Attributes) > 0) != (c.Code == "") {
				t.Error("believed:", result.Attributes)
			}
		})
	}
}
