package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
)

// results are the rates of each case by peer, one for each round.
type results map[testCase]map[string][]rate

// javaWarm is how many times as long as others Java is warmed up with small messages: before some seconds of CPU time
// its compiler is not done, and its figures are a third of what they become.
const javaWarm = 8

// round measures a case with every peer, one after the other.
func (f results) round(o options, c testCase, peers map[string]peer, keep bool) error {
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		if !c.measuredWith(name) {
			continue
		}
		r, err := peers[name].measure(c, o.asked(c, name, !keep))
		if err != nil {
			return err
		}
		if keep && r.messages > 0 {
			if f[c] == nil {
				f[c] = map[string][]rate{}
			}
			f[c][name] = append(f[c][name], r)
		}
	}
	return nil
}

// of is the median of a peer's messages per second of CPU time, 0 where there is none.
func (f results) of(c testCase, peer string) float64 {
	rates := slices.SortedFunc(slices.Values(f[c][peer]), func(a, b rate) int { return cmp.Compare(a.perSecond(), b.perSecond()) })
	if len(rates) == 0 {
		return 0
	}
	return rates[len(rates)/2].perSecond()
}

// find is the case of an operation, a size and a kind of message.
func (f results) find(op string, size int, shape, digest string) testCase {
	for c := range f {
		if c.op == op && c.size == size && c.shape == shape && c.digest == digest {
			return c
		}
	}
	return testCase{}
}

func (f results) print(w io.Writer) {
	fmt.Fprintf(w, "\nmessages per second of CPU time; x is gsigw's rate over the peer's, in brackets with openssl\n\n")
	fmt.Fprintf(w, "%-29s %9s %9s %9s %9s %15s %15s\n", "", gsigw, "(openssl)", wss4j, xmlsec, "x WSS4J", "x xmlsec1")
	for _, c := range f.inOrder() {
		if c.op != opSign && c.op != opVerify {
			continue
		}
		fmt.Fprintf(w, "%-29s", c)
		for _, name := range []string{gsigw, openssl, wss4j, xmlsec} {
			fmt.Fprintf(w, " %9s", number(f.of(c, name)))
		}
		fmt.Fprintf(w, " %15s %15s\n", f.against(c, wss4j), f.against(c, xmlsec))
	}
	f.printFloors(w)
	f.printAims(w)
}

func (f results) inOrder() []testCase {
	return slices.SortedFunc(maps.Keys(f), func(a, b testCase) int {
		return cmp.Or(cmp.Compare(a.op, b.op), cmp.Compare(a.shape, b.shape), cmp.Compare(a.digest, b.digest), cmp.Compare(a.size, b.size))
	})
}

func (f results) printFloors(w io.Writer) {
	rsa := f.find(opRSA, 2<<10, elements, "sha256")
	fmt.Fprintf(w, "\nRSA-2048 operations: %.3f ms, %.3f ms with openssl\n", 1000/f.of(rsa, gsigw), 1000/f.of(rsa, openssl))
	for _, shape := range []string{elements, text, blob} {
		if f.throughput(opScan, shape) == 0 {
			continue
		}
		fmt.Fprintf(w, "20 MB of %-8s: scan alone %4.0f MB/s, SHA-256 alone %4.0f", shape, f.throughput(opScan, shape), f.throughput(opHash, shape))
		fmt.Fprintf(w, ", sign %4.0f, verify and rebuild %4.0f\n", f.throughput(opSign, shape), f.throughput(opVerify, shape))
	}
}

// throughput is MB per second of CPU time at 20 MB.
func (f results) throughput(op, shape string) float64 {
	return f.of(f.find(op, 20<<20, shape, "sha256"), gsigw) * 20 * (1 << 20) / 1e6
}

func number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v < 20:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// ratio is one rate over another, 0 where one is missing.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (f results) against(c testCase, peer string) string {
	out := "-"
	if r := ratio(f.of(c, gsigw), f.of(c, peer)); r > 0 {
		out = fmt.Sprintf("%.1f", r)
	}
	if r := ratio(f.of(c, openssl), f.of(c, peer)); r > 0 {
		out += fmt.Sprintf(" (%.1f)", r)
	}
	return out
}
