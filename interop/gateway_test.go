package interop

import (
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A gateway is gsigw running; what it writes is its log.
type gateway struct {
	*peer
	config string // file
	port   string // of the proxy listener
}

// config is a config file but for its listeners: this grid's trust, one credential, these routes (YAML, indented).
func (g *grid) config(proxy, routes string) string {
	return "trust:\n  dir: " + g.TrustDir + "\ncredentials:\n  me:\n    proxy: " + proxy + "\nroutes:" + routes
}

// startGateway runs gsigw with the config until the test ends.
func startGateway(t testing.TB, config string) *gateway {
	t.Helper()
	g := &gateway{config: filepath.Join(t.TempDir(), "gsigw.yaml"), port: freePort(t)}
	admin := "127.0.0.1:" + freePort(t)
	writeFile(t, g.config, "listen:\n  proxy: 127.0.0.1:"+g.port+"\n  admin: "+admin+"\nca:\n  dir: ca\n"+config)
	run(t, exec.Command(gsigwBinary(t), "ca", "init", "--config", g.config, "--host", "localhost"))
	g.peer = startPeer(t, exec.Command(gsigwBinary(t), "run", "--config", g.config))
	for deadline := time.Now().Add(patience); !ready(admin); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the gateway is not ready:\n%s", g.rest())
		}
	}
	return g
}

func ready(admin string) bool {
	reply, err := http.Get("http://" + admin + "/readyz")
	if err != nil {
		return false
	}
	reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

// httpProxy is all that an engine's JVM needs for http targets.
func (g *gateway) httpProxy() []string {
	return []string{"-Dhttp.proxyHost=127.0.0.1", "-Dhttp.proxyPort=" + g.port}
}

// httpsProxy is all that an engine's JVM needs for https targets: the proxy and the exported truststore.
func (g *gateway) httpsProxy(t testing.TB) []string {
	t.Helper()
	store := filepath.Join(t.TempDir(), "trust.p12")
	run(t, exec.Command(gsigwBinary(t), "ca", "export", "--config", g.config, "--format", "pkcs12", "--out", store))
	return []string{"-Dhttps.proxyHost=127.0.0.1", "-Dhttps.proxyPort=" + g.port, "-Djavax.net.ssl.trustStore=" + store,
		"-Djavax.net.ssl.trustStorePassword=changeit"}
}

// A reply is what an engine got back: an HTTP answer, or the error that kept it away.
type reply struct {
	status int
	body   string
	err    error
}

// post sends a plain SOAP 1.1 call through the gateway, as an engine with the proxy setting does.
func (g *gateway) post(target, message string) reply {
	request, err := http.NewRequest(http.MethodPost, target, strings.NewReader(message))
	if err != nil {
		return reply{err: err}
	}
	request.Header.Set("Content-Type", "text/xml; charset=utf-8")
	request.Header.Set("SOAPAction", `"http://counter.com/CounterPortType/addRequest"`)
	proxy := http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:" + g.port})
	client := http.Client{Transport: &http.Transport{Proxy: proxy, DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, string(body), err}
}
