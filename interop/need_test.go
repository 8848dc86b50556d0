package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packages names the Debian packages that bring each peer: a program on the path, a jar of /usr/share/java, or a
// Perl module.
var packages = map[string]string{
	"arched":            "nordugrid-arc-hed nordugrid-arc-plugins-needed",
	"grid-proxy-init":   "globus-proxy-utils",
	"java":              "openjdk-17-jre-headless",
	"javac":             "openjdk-17-jdk-headless",
	"openssl":           "openssl",
	"samlsign":          "opensaml-tools",
	"verify-proxy-tool": "lcmaps-plugins-verify-proxy",
	"xmlsec1":           "xmlsec1",

	"axis.jar":                "libaxis-java",
	"axis-jaxrpc.jar":         "libaxis-java",
	"axis-saaj.jar":           "libaxis-java",
	"bcpkix.jar":              "libbcpkix-java",
	"bcprov.jar":              "libbcprov-java",
	"bcutil.jar":              "libbcutil-java",
	"canl.jar":                "libcanl-java",
	"commons-codec.jar":       "libcommons-codec-java",
	"commons-discovery.jar":   "libcommons-discovery-java",
	"commons-io.jar":          "libcommons-io-java",
	"commons-logging.jar":     "libcommons-logging-java",
	"jglobus-gss.jar":         "libjglobus-gss-java",
	"jglobus-jsse.jar":        "libjglobus-jsse-java",
	"jglobus-ssl-proxies.jar": "libjglobus-ssl-proxies-java",
	"log4j-1.2.jar":           "liblog4j1.2-java",
	"slf4j-api.jar":           "libslf4j-java",
	"slf4j-nop.jar":           "libslf4j-java",
	"stax2-api.jar":           "libstax2-api-java",
	"woodstox-core.jar":       "libwoodstox-java",
	"wsdl4j.jar":              "libwsdl4j-java",
	"wss4j.jar":               "libwss4j-java",
	"xmlsec.jar":              "libxml-security-java",

	"XML::LibXML": "libxml-libxml-perl",
}

// need returns where a peer lies. Without it the test is skipped, or fails where CI=true: there nothing may be missing.
func need(t testing.TB, peer string) string {
	t.Helper()
	path, found := locate(peer)
	if found {
		return path
	}
	report := t.Skipf
	if os.Getenv("CI") == "true" {
		report = t.Fatalf
	}
	report("no %s on this machine: apt-get install --no-install-recommends %s", peer, packages[peer])
	return ""
}

// A package that the suites ask for and CI does not install would fail on the next new machine.
func TestCIInstallsEveryPeer(t *testing.T) {
	script, err := os.ReadFile("../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(string(script))
	for peer, names := range packages {
		for name := range strings.FieldsSeq(names) {
			if !slices.Contains(listed, name) {
				t.Errorf(".ci/run does not install %s, which brings %s", name, peer)
			}
		}
	}
}

func locate(peer string) (path string, found bool) {
	switch {
	case strings.HasSuffix(peer, ".jar"):
		path = filepath.Join("/usr/share/java", peer)
		_, err := os.Stat(path)
		return path, err == nil
	case strings.Contains(peer, "::"):
		return peer, exec.Command("/usr/bin/perl", "-M"+peer, "-e1").Run() == nil
	}
	for _, name := range []string{peer, filepath.Join("/usr/sbin", peer)} {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}
