package main

import (
	"fmt"
	"io"
)

// aim is a figure that must be at least, or at most, another.
type aim struct {
	what        string
	have, bound float64
	atMost      bool
	best        float64 // what RSA and the digest alone would give; 0 where nobody asked
}

func (a aim) verdict() string {
	switch {
	case a.have == 0:
		return "not measured"
	case a.atMost == (a.have <= a.bound):
		return "holds"
	case a.best > 0 && a.best < a.bound:
		return fmt.Sprintf("out of reach: RSA and the digest alone give %.2f", a.best)
	}
	return "MISSED"
}

func (f results) printAims(w io.Writer) {
	fmt.Fprintf(w, "\n%-70s %8s %8s\n", "aim", "", "found")
	for _, a := range f.aims() {
		sign := ">="
		if a.atMost {
			sign = "<="
		}
		fmt.Fprintf(w, "%-70s %s %5.2f %8.2f  %s\n", a.what, sign, a.bound, a.have, a.verdict())
	}
}

func (f results) aims() []aim {
	all := f.overRSA()
	for c := range f.rows(opSign, opVerify) {
		if c.size >= 1<<20 {
			all = append(all, f.times(c, gsigw, wss4j, 5), f.times(c, gsigw, xmlsec, 5))
		} else if c.op == opVerify {
			all = append(all, f.times(c, gsigw, wss4j, 3))
		}
	}
	all = append(all, aim{"sign, 20 MB elements, MB/s of one thread", f.throughput(opSign, elements), 150, false, 0})
	for c := range f.rows(opSign) {
		if c.size < 1<<20 {
			all = append(all, f.times(c, openssl, wss4j, 4), f.times(c, openssl, xmlsec, 1))
		}
	}
	return all
}

// overRSA is what signing costs over the private-key operation alone.
func (f results) overRSA() []aim {
	rsa := f.of(f.find(opRSA, 2<<10, elements, "sha256"), gsigw)
	over := func(size int) float64 { return ratio(rsa, f.of(f.find(opSign, size, elements, "sha256"), gsigw)) }
	return []aim{
		{"sign, 2 KB, over the RSA operation alone", over(2 << 10), 1.10, true, 0},
		{"sign, 20 KB, over the RSA operation alone", over(20 << 10), 1.20, true, 0},
	}
}

// rows are the cases of some operations, in the table's order.
func (f results) rows(ops ...string) func(yield func(testCase) bool) {
	return func(yield func(testCase) bool) {
		for _, c := range f.inOrder() {
			for _, op := range ops {
				if c.op == op && !yield(c) {
					return
				}
			}
		}
	}
}

func (f results) times(c testCase, who, peer string, bound float64) aim {
	return aim{fmt.Sprintf("%s, %s over %s", c, who, peer), ratio(f.of(c, who), f.of(c, peer)), bound, false, f.best(c, who, peer)}
}

// best is the ratio of one who does nothing but the private-key operation and the digest of the message's bytes.
func (f results) best(c testCase, who, peer string) float64 {
	perMessage := ratio(1, f.of(f.find(opHash, c.size, c.shape, c.digest), gsigw))
	if c.op == opSign {
		perMessage += ratio(1, f.of(f.find(opRSA, 2<<10, elements, "sha256"), who))
	}
	return ratio(ratio(1, perMessage), f.of(c, peer))
}
