package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// progress tells on stderr how far it is. A peer is asked for seconds of CPU time, and may take many more by the clock:
// what is left is reckoned by what was needed so far.
type progress struct {
	options
	cases []testCase
	peers map[string]peer
	start time.Time
	done  time.Duration // of what was asked for
}

// before says what comes next: each case of the warming up, which takes longest, and then each round.
func (p *progress) before(round, i int, c testCase) {
	after := time.Since(p.start)
	left := ""
	if p.done > 0 {
		rest := float64(p.estimate(p.cases, p.peers)-p.done) * max(1, after.Seconds()/p.done.Seconds())
		left = fmt.Sprintf(", some %s left", time.Duration(rest).Round(10*time.Second))
	}
	switch {
	case round == 0:
		fmt.Fprintf(os.Stderr, "warming up %d of %d (%s) after %s%s\n", i+1, len(p.cases), strings.Join(strings.Fields(c.String()), " "), after.Truncate(time.Second), left)
	case i == 0:
		fmt.Fprintf(os.Stderr, "round %d of %d after %s%s\n", round, p.rounds, after.Truncate(time.Second), left)
	}
	p.done += p.takes(c, p.peers, round == 0)
}

// estimate is how long everything takes at the least.
func (o options) estimate(cases []testCase, peers map[string]peer) (sum time.Duration) {
	for _, c := range cases {
		sum += o.takes(c, peers, true) + time.Duration(o.rounds)*o.takes(c, peers, false)
	}
	return sum
}

// takes is what all peers together are asked for of a case.
func (o options) takes(c testCase, peers map[string]peer, warming bool) time.Duration {
	var seconds float64
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		if c.measuredWith(name) {
			seconds += o.asked(c, name, warming)
		}
	}
	return time.Duration(seconds * float64(time.Second))
}

// asked is how many seconds of a case a peer is asked for.
func (o options) asked(c testCase, name string, warming bool) float64 {
	switch {
	case !warming:
		return o.seconds
	case name == wss4j && c.size < 1<<20:
		return o.warm * javaWarm
	}
	return o.warm
}
