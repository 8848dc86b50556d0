package gateway

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/intercept"
	"gsigw/internal/policy"
	"gsigw/internal/upstream"
	"gsigw/soap"
	"gsigw/wssec"
)

// GT4 dispatches on the path of wsa:To, so it must be the path that policy decided on.
func TestTo_AgreesWithWhereTheMessageGoes(t *testing.T) {
	const path = "/wsrf/services/CounterService"
	for _, test := range []struct {
		name, to string
		form     intercept.Form
		ok       bool
	}{
		{"the same", "TARGET" + path, intercept.Forward, true},
		{"before an upgrade", "https://elsewhere:8443" + path, intercept.Forward, true},
		{"anonymous", soap.Anonymous(soap.Addressing200508), intercept.Forward, true},
		{"a name", "urn:counter", intercept.Forward, true},
		{"another service", "TARGET/wsrf/services/Other", intercept.Forward, false},
		{"another service on another host", "http://x/wsrf/services/Other", intercept.Forward, false},
		{"a climbing path", "TARGET/wsrf/services/a/../Other", intercept.Forward, false},
		{"an address that cannot be read", "http://x/wsrf/services/Other%zz", intercept.Forward, false},
		{"an ambiguous path", "TARGET/wsrf/services/Other;x/..%2fCounterService", intercept.Forward, false},
		{"our own address on a reverse route", "http://localhost:8182/counter", intercept.Reverse, true},
		{"another service on a reverse route", "TARGET/wsrf/services/Other", intercept.Reverse, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, none(policy.TransportNone), answering(200, "text/xml", add11))
			to := strings.ReplaceAll(test.to, "TARGET", b.service.URL)
			r := b.request(strings.Replace(addressed("urn:uuid:1"), "<a:Action", `<a:To xmlns:a="`+soap.Addressing200508+`">`+to+`</a:To><a:Action`, 1))
			c := b.callOf(r.URL)
			if c.Form = test.form; c.Form == intercept.Reverse {
				c.Route = b.route.Name
			}
			w := httptest.NewRecorder()
			b.gateway.Serve(w, r, c)
			if ok := w.Code == 200; ok != test.ok || ok == b.service.untouched() {
				t.Errorf("answer %d %s", w.Code, w.Body)
			}
			if !test.ok {
				want(t, w, 500, "to-agreement")
			}
			if test.form == intercept.Reverse && test.ok && !strings.Contains(b.service.only().body, ">"+b.service.URL+path+"</a:To>") {
				t.Errorf("the service got %s", b.service.only().body)
			}
		})
	}
}

// What intercept lets through to no gateway, a gateway would deny as well.
func TestAddress_WithTwoReadingsIsADenial(t *testing.T) {
	b := newBench(t, none(policy.TransportNone), answering(200, "text/xml", add11))
	r := b.request(add11)
	r.URL.Path = "/wsrf/services/CounterService;x"
	w := httptest.NewRecorder()
	b.gateway.Serve(w, r, b.callOf(r.URL))
	want(t, w, 500, "denied by rule path: ")
	if strings.Contains(w.Body.String(), "policy:") || !b.service.untouched() {
		t.Errorf("answer %s", w.Body)
	}
}

func TestProfile_WeakAlgorithmsBelongToRoutesThatNameThem(t *testing.T) {
	b := newBench(t)
	for _, test := range []struct {
		name  string
		route policy.Route
		sign  wssec.Digest
		want  wssec.Algorithms
		quirk bool
	}{
		{"default", policy.Route{}, wssec.SHA256, wssec.Algorithms{}, false},
		{"gt4", policy.Route{For: policy.StackGT4, Digest: policy.SHA1}, wssec.SHA1, wssec.Algorithms{SHA1: true}, true},
		{"gt4 with sha256", policy.Route{For: policy.StackGT4}, wssec.SHA256, wssec.Algorithms{SHA1: true}, true},
		{"md5", policy.Route{AllowMD5: true}, wssec.SHA256, wssec.Algorithms{MD5: true}, false},
		{"rsa 512", policy.Route{AllowRSA512: true}, wssec.SHA256, wssec.Algorithms{MinRSABits: 512}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.route.Message, test.route.MaxSkew = policy.MessageGSI, 42*time.Second
			p := b.gateway.profileFor(b.state(), &test.route).(*wssec.GSIMessage)
			if p.Digest != test.sign || p.Verifier.Algorithms != test.want || p.Verifier.IgnoreSignedInfoPrefixes != test.quirk {
				t.Errorf("profile %+v, verifier %+v", p, p.Verifier)
			}
			if p.Verifier.Replay == nil || p.Verifier.Trust == nil || p.Verifier.Skew != 42*time.Second {
				t.Error("nothing is remembered, nobody judged, or at another clock")
			}
		})
	}
	if b.gateway.profileFor(b.state(), &policy.Route{}) != nil {
		t.Error("a profile for a route without message security")
	}
}

func TestProfile_KeepsTheLimits(t *testing.T) {
	b := newBench(t, func(b *bench) { b.limits.References, b.limits.Certificates, b.limits.RSABits = 3, 4, 4096 })
	v := b.gateway.verifier(b.state(), &b.route)
	if v.MaxReferences != 3 || v.MaxCertificates != 4 || v.Algorithms.MaxRSABits != 4096 {
		t.Errorf("verifier %+v", v)
	}
}

// What the route does not name is not dialled, and goes at the route's pace.
func TestTarget_IsTheRoutes(t *testing.T) {
	for _, r := range []policy.Route{
		{Transport: policy.TransportHTTPS},
		{Transport: policy.TransportHTTPS, AllowLoopback: true, Timeouts: policy.Timeouts{Dial: 1, Total: 2}},
		{Transport: policy.TransportHTTPS, AllowLinkLocal: true, PeerDN: []string{"/CN=x"}},
		{Transport: policy.TransportNone, AllowOwn: true, PeerDN: []string{"/CN=x"}},
	} {
		x := &exchange{route: &r, State: &State{}}
		got := x.target(&gsi.Credential{})
		allow := upstream.Allow{Loopback: r.AllowLoopback, LinkLocal: r.AllowLinkLocal, Own: r.AllowOwn}
		if got.Allow != allow || got.Timeouts != upstream.Timeouts(r.Timeouts) || got.Credential != nil {
			t.Errorf("target %+v of route %+v", got, r)
		}
		if named := len(got.PeerDN) > 0; named != (len(r.PeerDN) > 0 && r.Transport != policy.TransportNone) {
			t.Errorf("peers %q of route %+v", got.PeerDN, r)
		}
	}
}

func TestServe_DropsTheHeadersThatTheRouteNames(t *testing.T) {
	b := newBench(t, func(b *bench) { b.route.DropHeaders = []policy.Name{{Space: "urn:x", Local: "trail"}} })
	want(t, b.post(strings.Replace(add11, "<soapenv:Body>", `<soapenv:Header><x:trail xmlns:x="urn:x">MARKER</x:trail></soapenv:Header><soapenv:Body>`, 1)), 200, sum11)
	if body := b.service.only().body; strings.Contains(body, "MARKER") {
		t.Errorf("the service got %s", body)
	}
}

// Over https the message is signed all the same: profiles combine.
func TestServe_CombinesMessageAndTransport(t *testing.T) {
	for _, transport := range []policy.Transport{policy.TransportHTTPS, policy.TransportGSI} {
		b := newBench(t, over(transport))
		want(t, b.post(add11), 200, sum11)
		got := b.service.only()
		if !strings.Contains(got.body, "SignatureValue") || got.peers > 0 != (transport == policy.TransportGSI) {
			t.Errorf("%s: %d certificates, %s", transport, got.peers, got.body)
		}
	}
}

// The service must be the host that was called before a byte of the message leaves.
func TestServe_SendsNothingToAServerOfAnotherName(t *testing.T) {
	b := newBench(t, over(policy.TransportGSI), func(b *bench) { b.route.PeerDN = []string{"/O=Grid/CN=other"} })
	want(t, b.post(add11), 500, "identity")
	if !b.service.untouched() {
		t.Error("the message went out")
	}
}

func TestServe_LoopbackOnlyWhereTheRouteNamesIt(t *testing.T) {
	b := newBench(t, none(policy.TransportNone), func(b *bench) { b.route.AllowLoopback = false })
	want(t, b.post(add11), 500, "refused address")
	if !b.service.untouched() {
		t.Error("the message went out")
	}
}

func TestServe_TakesAGzippedRequest(t *testing.T) {
	b := newBench(t, none(policy.TransportNone), answering(200, "text/xml", add11))
	want(t, b.post(gzipped(add11), "Content-Encoding", "gzip"), 200, "")
	if got := b.service.only(); got.body != add11 || got.header.Get("Content-Encoding") != "" {
		t.Errorf("the service got %v %s", got.header, got.body)
	}
}

func TestServe_SOAP12CarriesItsActionInTheContentType(t *testing.T) {
	b := newBench(t, func(b *bench) { b.service.inner = sum11 })
	b.post(add12, "Content-Type", `application/soap+xml; action="`+addAction+`"`, "SOAPAction", "")
	got := b.service.only()
	if kind := got.header.Get("Content-Type"); kind != `application/soap+xml; charset=utf-8; action="`+addAction+`"` || got.header.Get("SOAPAction") != "" {
		t.Errorf("header %v", got.header)
	}
}
