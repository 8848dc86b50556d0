package intercept

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gsigw/internal/intercept/ca"
)

// A JVM that is given the proxy and the exported truststore, and nothing else,
// gets through: chunked, twice over one connection, with either kind of key.
func TestConnect_JavaTrustsExportedTrustStore(t *testing.T) {
	java, err := exec.LookPath("java")
	_, jdkErr := exec.LookPath("javac") // a JVM alone runs no source file
	if err != nil || jdkErr != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("java or javac is missing")
		}
		t.Skip("java or javac is missing")
	}
	for _, kind := range []ca.KeyType{ca.ECDSA, ca.RSA} {
		t.Run(string(kind), func(t *testing.T) {
			authority, err := ca.New(ca.Options{Hosts: []string{"gt4.example", "192.0.2.7"}, Key: kind})
			if err != nil {
				t.Fatal(err)
			}
			g := &recorder{opens: []string{"gt4.example:8443", "192.0.2.7:443"}}
			s := start(t, Config{Gateway: g, Forward: true, CA: authority})
			store := filepath.Join(t.TempDir(), "trust.p12")
			data, err := authority.TrustStore("changeit")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(store, data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(s.Addr().String())
			for _, target := range []string{"https://gt4.example:8443/a", "https://192.0.2.7/a"} {
				out, err := exec.CommandContext(t.Context(), java, "-Dhttps.proxyHost=127.0.0.1", "-Dhttps.proxyPort="+port,
					"-Djavax.net.ssl.trustStore="+store, "-Djavax.net.ssl.trustStorePassword=changeit",
					"testdata/Probe.java", target).CombinedOutput()
				if err != nil || string(out) != "200ok 200ok " {
					t.Errorf("%s: %v\n%s", target, err, out)
				}
			}
			if g.count() != 4 || g.bodies[0] != "<e/>" {
				t.Errorf("%d requests, bodies %q", g.count(), g.bodies)
			}
		})
	}
}
