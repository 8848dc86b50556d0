package interop

import (
	"fmt"
	"strings"
	"testing"
)

var wss4jJars = []string{"wss4j.jar", "xmlsec.jar", "commons-logging.jar", "commons-codec.jar", "slf4j-api.jar",
	"slf4j-nop.jar", "canl.jar", "bcprov.jar", "bcpkix.jar", "bcutil.jar", "commons-io.jar", "woodstox-core.jar", "stax2-api.jar"}

func wss4j(t testing.TB, input string, args ...string) (string, error) {
	t.Helper()
	cmd := javaCommand(t, "Wss4j", wss4jJars, nil, args...)
	cmd.Stdin = strings.NewReader(input)
	return tryRun(cmd)
}

// wss4jSign has WSS4J sign the suite's message; with prefixes it lists InclusiveNamespaces in every transform.
func wss4jSign(t testing.TB, c signingCase, options ...string) string {
	t.Helper()
	signed, err := wss4j(t, plainMessage, append([]string{"sign", c.credential, c.digest, c.token}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// wss4jVerify fails unless WSS4J, with canl for trust, finds the one signature good, all parts under it, and the signer
// to be the end entity named.
func wss4jVerify(t testing.TB, message, trust, identity string) error {
	t.Helper()
	report, err := wss4j(t, message, "verify", trust)
	if err != nil {
		return err
	}
	if !strings.Contains(report, "identity "+identity+"\n") {
		return fmt.Errorf("WSS4J saw another signer than %s:\n%s", identity, report)
	}
	for _, e := range signedElements {
		namespace, local := e[:strings.LastIndex(e, ":")], e[strings.LastIndex(e, ":")+1:]
		if !strings.Contains(report, "signed {"+namespace+"}"+local+"\n") {
			return fmt.Errorf("WSS4J does not have %s among what was signed:\n%s", local, report)
		}
	}
	return nil
}
