package interop

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
)

var axisJars = append([]string{"axis.jar", "axis-jaxrpc.jar", "axis-saaj.jar", "commons-discovery.jar", "wsdl4j.jar"}, wss4jJars...)

// An axisService is java/AxisService.java running: an Axis 1.4 service behind WSS4J. It writes "caller DN" or "refused
// REASON" for each request.
type axisService struct {
	*peer
	port string
}

// startAxisService starts it over "plain" HTTP or "tls".
func startAxisService(t testing.TB, g *grid, transport string) *axisService {
	t.Helper()
	s := startPeer(t, javaCommand(t, "AxisService", axisJars, nil, g.host, g.TrustDir, transport))
	return &axisService{s, strings.TrimPrefix(s.next(t), "port ")}
}

// callAxis runs the Axis client: add(number) at the URL, with WS-Addressing headers if a namespace is given.
func callAxis(t testing.TB, jvm []string, url, number string, addressing ...string) string {
	t.Helper()
	return strings.TrimSpace(run(t, javaCommand(t, "AxisClient", axisJars, jvm, append([]string{url, number}, addressing...)...)))
}

// The service does what the suite relies on: it takes what WSS4J signs as the user, refuses the rest, and each kind of
// its replies is what it says.
func TestAxisServiceAlone(t *testing.T) {
	g := newGrid(t)
	service := startAxisService(t, g, "plain")
	request := wss4jSign(t, signingCase{credential: g.proxy(t), digest: "sha1", token: "pkipath"})
	post := func(kind, message string) string {
		url := "http://127.0.0.1:" + service.port + "/" + kind + "/services/Counter"
		reply, err := http.Post(url, "text/xml", strings.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		body, _ := io.ReadAll(reply.Body)
		return string(body)
	}
	for _, c := range []struct{ kind, said, verifies, holds string }{
		{"axis", "caller " + gridtest.UserName, "", ">uuid:561e7b00-e5dc-11f1-88c5-88714967ae9a<"},
		{"tampered", "caller " + gridtest.UserName, "signature or decryption was invalid", ">1000000<"},
		{"unsigned", "caller " + gridtest.UserName, "no wsse:Security header", ">15<"},
		{"mixed-up", "caller " + gridtest.UserName, "", ">uuid:of-another-message<"},
	} {
		reply := post(c.kind, request)
		if said := service.next(t); said != c.said {
			t.Errorf("%s: the service says %q", c.kind, said)
		}
		_, err := wss4j(t, reply, "verify", g.TrustDir)
		if (err == nil) != (c.verifies == "") || err != nil && !strings.Contains(err.Error(), c.verifies) {
			t.Errorf("%s: want %q, got %v", c.kind, c.verifies, err)
		}
		if !strings.Contains(reply, c.holds) {
			t.Errorf("%s: no %s in %s", c.kind, c.holds, reply)
		}
	}
	for message, said := range map[string]string{
		plainMessage:         "refused no wsse:Security header",
		tampered(t, request): "refused The signature or decryption was invalid",
	} {
		post("axis", message)
		if got := service.next(t); got != said {
			t.Errorf("the service says %q, want %q", got, said)
		}
	}
	url := "http://127.0.0.1:" + service.port + "/axis/services/Counter"
	if out := callAxis(t, nil, url, "5"); !strings.Contains(out, "no wsse:Security header") {
		t.Errorf("the client by itself got %q", out)
	}
}

// Each way from a plain client to the secured service: the client gets its sum, the service sees the user.
func TestGateway_AxisClientReachesSecuredAxisServiceAsUser(t *testing.T) {
	g := newGrid(t)
	proxy := g.proxy(t)
	plain, tls := startAxisService(t, g, "plain"), startAxisService(t, g, "tls")
	gateway := startGateway(t, g.config(proxy, `
  plain:
    target: http://localhost:`+plain.port+`/*
    for: gt4
    message: gsi-message
    addressing: 2004/03
    loopback: true
  tls:
    target: https://localhost:`+tls.port+`/*
    upgrade: true
    message: gsi-message
    addressing: 2005/08
    loopback: true
`))
	for _, c := range []struct {
		name       string
		service    *axisService
		jvm        []string
		url        string
		addressing []string
	}{
		{"http without addressing", plain, gateway.httpProxy(), "http://localhost:" + plain.port, nil},
		{"http with 2004/03", plain, gateway.httpProxy(), "http://localhost:" + plain.port, []string{wsaNS}},
		{"http upgraded to TLS", tls, gateway.httpProxy(), "http://localhost:" + tls.port, nil},
		{"CONNECT", tls, gateway.httpsProxy(t), "https://localhost:" + tls.port, nil},
		{"CONNECT with 2005/08", tls, gateway.httpsProxy(t), "https://localhost:" + tls.port, []string{"http://www.w3.org/2005/08/addressing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := callAxis(t, c.jvm, c.url+"/axis/services/Counter", "0", c.addressing...)
			after := callAxis(t, c.jvm, c.url+"/axis/services/Counter", "5", c.addressing...)
			if !strings.HasPrefix(before, "result ") || !strings.HasPrefix(after, "result ") || before == after {
				t.Errorf("the client got %q, then %q\n%s", before, after, gateway.rest())
			}
			for range 2 {
				if said := c.service.next(t); said != "caller "+gridtest.UserName {
					t.Errorf("the service says %q", said)
				}
			}
		})
	}
}

// A reply that does not hold gives the client a SOAP fault, and never the false answer.
func TestGateway_AxisClientGetsFaultForBadReply(t *testing.T) {
	g := newGrid(t)
	service := startAxisService(t, g, "plain")
	gateway := startGateway(t, g.config(g.proxy(t), `
  counter:
    target: http://localhost:`+service.port+`/*
    message: gsi-message
    addressing: 2004/03
    loopback: true
`))
	for _, kind := range []string{"tampered", "unsigned", "mixed-up"} {
		out := callAxis(t, gateway.httpProxy(), "http://localhost:"+service.port+"/"+kind+"/services/Counter", "5")
		if !strings.HasPrefix(out, "fault ") || !strings.Contains(out, "FailedCheck") {
			t.Errorf("%s: the client got %q\n%s", kind, out, gateway.rest())
		}
		if said := service.next(t); said != "caller "+gridtest.UserName {
			t.Errorf("%s: the service says %q", kind, said)
		}
	}
}
