// Command bench measures gsigw beside WSS4J and xmlsec1, in one run: compare.sh builds what it needs and starts it.
//
//	bash bench/compare.sh          # it says how long it will take
//	bash bench/compare.sh -long    # longer rounds, and more of them
//	bash bench/compare.sh -shape elements -digest sha256
//
// Each round measures every case with every peer before the next begins, so that a noisy machine is noisy for all;
// what counts is the median, in messages per second of CPU time (user and system, of the whole process). Everybody
// gets the same bytes, signs the same five parts (Body, Timestamp and three addressing headers) with the same RSA-2048
// proxy, and writes the signed message; gsigw and WSS4J (with canl) verify the chain of two certificates too.
package main

import (
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "worker" {
		check(work(os.Stdin, os.Stdout, os.Args[2], os.Args[3]))
		return
	}
	var o options
	flag.StringVar(&o.openssl, "openssl", "", "this program, built with the tag openssl")
	flag.StringVar(&o.classPath, "classpath", "", "where Wss4jWorker is, and WSS4J")
	flag.StringVar(&o.shape, "shape", "", "elements, text or base64 alone")
	flag.StringVar(&o.digest, "digest", "", "sha256 or sha1 alone")
	long := flag.Bool("long", false, "longer rounds, and more of them")
	flag.Parse()
	o.rounds, o.seconds, o.warm = 3, 0.25, 0.75
	if *long {
		o.rounds, o.seconds, o.warm = 7, 1, 3
	}
	check(o.run())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	openssl, classPath string
	shape, digest      string // all, where empty
	rounds             int
	seconds, warm      float64 // of one measurement, and of each case before the first
}

func (o options) run() error {
	dir, err := os.MkdirTemp("", "gsigw-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	g, err := newGrid(dir)
	if err != nil {
		return err
	}
	peers, err := o.start(g)
	if err != nil {
		return err
	}
	cases, err := o.writeCases(g)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d cases, %d rounds: %s or more; what is left is told on the way\n", len(cases), o.rounds, o.estimate(cases, peers).Round(10*time.Second))
	found, err := o.measure(cases, peers)
	for _, p := range peers {
		p.close()
	}
	if err != nil {
		return err
	}
	found.print(os.Stdout)
	return nil
}

// grid is the throwaway PKI of a run, and its files.
type grid struct {
	dir, trust, proxy, leaf string
	credential              *gsi.Credential
}

func newGrid(dir string) (*grid, error) {
	pki, err := gridtest.NewPKI(dir, gridtest.PKIOptions{})
	if err != nil {
		return nil, err
	}
	g := &grid{dir: dir, trust: pki.TrustDir, leaf: filepath.Join(dir, "leaf.pem")}
	if g.credential, err = pki.Proxy(gsi.Limits{}); err != nil {
		return nil, err
	}
	if g.proxy, err = pki.WriteProxy("proxy.pem", g.credential); err != nil {
		return nil, err
	}
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.credential.Leaf().Raw})
	return g, os.WriteFile(g.leaf, leaf, 0o600)
}

// start starts the peers that are asked for; gsigw is always one.
func (o options) start(g *grid) (map[string]peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	commands := map[string]*exec.Cmd{gsigw: exec.Command(self, "worker", g.proxy, g.trust)}
	if o.openssl != "" {
		commands[openssl] = exec.Command(o.openssl, "worker", g.proxy, g.trust)
	}
	if o.classPath != "" {
		// The fastest that was found, by CPU time; without the property Bouncy Castle spends seconds on each new key.
		commands[wss4j] = exec.Command("java", "-XX:+UseSerialGC", "-Xms2g", "-Xmx4g", "-Dorg.bouncycastle.rsa.allow_unsafe_mod=true",
			"-Dorg.apache.commons.logging.Log=org.apache.commons.logging.impl.NoOpLog", "-cp", o.classPath, "Wss4jWorker", g.proxy, g.trust)
	}
	x := &xmlsec1{key: g.proxy, leaf: g.leaf, counts: map[testCase]int{}}
	if err := x.findStartup(); err != nil {
		return nil, err
	}
	peers := map[string]peer{xmlsec: x}
	for name, cmd := range commands {
		w, err := startCoworker(cmd)
		if err != nil {
			return nil, err
		}
		fmt.Printf("%-16s %s", name, w.about)
		peers[name] = w
	}
	return peers, nil
}

// measure warms everybody up, for WSS4J's compiler, and then goes round.
func (o options) measure(cases []testCase, peers map[string]peer) (results, error) {
	found, p := results{}, progress{options: o, cases: cases, peers: peers, start: time.Now()}
	for round := range o.rounds + 1 {
		for i, c := range cases {
			p.before(round, i, c)
			if err := found.round(o, c, peers, round > 0); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}
