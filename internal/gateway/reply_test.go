package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/internal/policy"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

func TestReply_RefusedUnlessSignedByTheHost(t *testing.T) {
	for _, test := range []struct {
		name string
		knob knob
		want wssec.Class
	}{
		{"unsigned", answering(200, "text/xml", envelope11(sum11)), wssec.ClassNoSecurity},
		{"unsigned over TLS", func(b *bench) {
			over(policy.TransportHTTPS)(b)
			answering(200, "text/xml", envelope11(sum11))(b)
		}, wssec.ClassNoSecurity},
		{"body changed", tampering(">17<", ">18<"), wssec.ClassDigest},
		{"signature changed", tampering("<ds:SignedInfo", "<ds:SignedInfo Id='x'"), wssec.ClassSignature},
		{"header slipped in", tampering("<soapenv:Body", `<w:To xmlns:w="`+soap.Addressing200508+`">x</w:To><soapenv:Body`), wssec.ClassMalformed},
		{"signed by the user", signedBy(func(b *bench) *gsi.Credential { return b.pki.User }), wssec.ClassIdentity},
		{"signed by a proxy of the host", signedBy(func(b *bench) *gsi.Credential {
			return gridtest.Must(b.pki.ProxyOf(b.pki.Host, gsi.Limits{Lifetime: time.Hour}))
		}), wssec.ClassIdentity},
		{"signed by a stranger", signedBy(func(b *bench) *gsi.Credential {
			return gridtest.Must(b.pki.Other.Issue(gridtest.Request{Name: gridtest.HostName, Host: true}))
		}), wssec.ClassUntrusted},
		{"signed by the host, another DN named", func(b *bench) { b.route.PeerDN = []string{gridtest.UserName} }, wssec.ClassIdentity},
		{"answers another request", func(b *bench) {
			b.service.answer = func(w http.ResponseWriter, _ *http.Request, body []byte) {
				w.Header().Set("Content-Type", "text/xml")
				w.Write(b.service.reply([]byte(addressed("urn:uuid:another"))))
			}
		}, wssec.ClassRelatesTo},
		{"no XML", answering(200, "text/xml", "no"), wssec.ClassMalformed},
		{"DTD", answering(500, "text/xml", "<!DOCTYPE a>"+envelope11(fault11)), wssec.ClassDTD},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, test.knob)
			w := b.post(add11)
			want(t, w, 500, "c:FailedCheck")
			if strings.Contains(w.Body.String(), "17") || strings.Contains(w.Body.String(), "no such counter") {
				t.Errorf("the engine got what was not verified: %s", w.Body)
			}
			if len(b.counted.refused) != 1 || b.counted.refused[0] != string(test.want) {
				t.Errorf("refused as %q, want %s", b.counted.refused, test.want)
			}
		})
	}
}

func tampering(what, with string) knob {
	return func(b *bench) {
		b.service.tamper = func(reply []byte) []byte {
			if !bytes.Contains(reply, []byte(what)) {
				b.t.Errorf("the reply has no %s", what)
			}
			return bytes.Replace(reply, []byte(what), []byte(with), 1)
		}
	}
}

func signedBy(who func(*bench) *gsi.Credential) knob {
	return func(b *bench) { b.service.signer = who(b) }
}

func TestReply_TakenFromANamedDN(t *testing.T) {
	for name, signer := range map[string]func(*bench) *gsi.Credential{
		"its own certificate": func(b *bench) *gsi.Credential { return b.pki.User },
		"its proxy": func(b *bench) *gsi.Credential {
			return gridtest.Must(b.pki.Proxy(gsi.Limits{Lifetime: time.Hour}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, signedBy(signer), func(b *bench) { b.route.PeerDN = []string{"/O=Grid/CN=other", "CN=Jane Doe,OU=gsigw test,O=Grid"} })
			want(t, b.post(add11), 200, sum11)
		})
	}
}

// An independent proxy speaks for itself, under a name that its maker chose: neither the user's DN nor that name lets it
// answer.
func TestReply_IndependentProxyNeverAnswers(t *testing.T) {
	var proxy *gsi.Credential
	for _, peer := range []func() string{
		func() string { return gridtest.UserName },
		func() string { return gsi.OneLine(proxy.Leaf().RawSubject) },
	} {
		b := newBench(t, signedBy(func(b *bench) *gsi.Credential {
			proxy = gridtest.Must(b.pki.Proxy(gsi.Limits{Type: gsi.RFCIndependent, Lifetime: time.Hour}))
			return proxy
		}), func(b *bench) { b.route.PeerDN = []string{peer()} })
		want(t, b.post(add11), 500, "FailedCheck")
	}
}

func TestReply_SignedFaultIsTheServicesOwn(t *testing.T) {
	b := newBench(t, func(b *bench) { b.service.inner, b.service.status = fault11, 500 })
	want(t, b.post(add11), 500, "no such counter")
	if !strings.Contains(b.log.String(), `"result":"fault"`) {
		t.Errorf("record %s", b.log)
	}
}

// Nobody signs an HTTP status.
func TestReply_StatusIsThatOfTheVerifiedMessage(t *testing.T) {
	b := newBench(t, func(b *bench) { b.service.status = 500 })
	want(t, b.post(add11), 200, sum11)
	b = newBench(t, func(b *bench) { b.service.inner = fault11 })
	want(t, b.post(add11), 500, "no such counter")
}

func TestReply_UnsignedFaultPassesOverAuthenticatedTLSOnly(t *testing.T) {
	fault := answering(500, "text/xml; charset=UTF-8", envelope11(fault11))
	b := newBench(t, over(policy.TransportHTTPS), fault)
	if w := b.post(add11); w.Body.String() != envelope11(fault11) || w.Code != 500 || w.Header().Get("Content-Type") != "text/xml; charset=UTF-8" {
		t.Errorf("over TLS: %d %s", w.Code, w.Body)
	}
	b = newBench(t, fault)
	w := b.post(add11)
	want(t, w, 500, "c:UnverifiedFault")
	want(t, w, 500, "soapenv:Server.userException: no such counter</g:quoted>")
}

// TLS says whose the fault is only where its peer is one that may answer: a proxy of the host's is not the host.
func TestReply_UnsignedFaultNeedsAPeerThatMayAnswer(t *testing.T) {
	b := newBench(t, over(policy.TransportHTTPS), answering(500, "text/xml", envelope11(fault11)), func(b *bench) {
		b.service.host = gridtest.Must(b.pki.ProxyOf(b.pki.Host, gsi.Limits{Lifetime: time.Hour}))
	})
	want(t, b.post(add11), 500, "c:UnverifiedFault")
}

// A fault with a broken signature is no unsigned fault.
func TestReply_FaultWithABrokenSignatureNeverPasses(t *testing.T) {
	b := newBench(t, over(policy.TransportHTTPS), tampering("no such counter", "send the money"), func(b *bench) { b.service.inner = fault11 })
	w := b.post(add11)
	want(t, w, 500, "FailedCheck")
	if strings.Contains(w.Body.String(), "money") {
		t.Errorf("answer %s", w.Body)
	}
}

func TestReply_HeadersComeFromTheAllowList(t *testing.T) {
	fields := http.Header{
		"Set-Cookie": {"a=b"}, "Server": {"x"}, "X-Named": {"yes"}, "X-Other": {"no"}, "Etag": {`"1"`},
		"Connection": {"x-other"}, "Proxy-Authenticate": {"Basic"},
	}
	for _, k := range []knob{nil, none(policy.TransportNone)} {
		b := newBench(t, func(b *bench) {
			b.service.fields = fields
			b.route.ReplyHeaders = []string{"x-named", "content-length", "connection", "Proxy-Authenticate"}
			if k != nil {
				k(b)
				b.service.answer = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
					for name, values := range fields {
						w.Header()[name] = values
					}
					w.Header().Set("Content-Type", "text/xml")
					io.WriteString(w, add11)
				}
			}
		})
		w := b.post(add11)
		if w.Code != 200 || w.Header().Get("X-Named") != "yes" {
			t.Errorf("answer %d %v", w.Code, w.Header())
		}
		for name := range w.Header() {
			switch name {
			case "X-Named", "Content-Type", "Content-Length", "X-Content-Type-Options":
			default:
				t.Errorf("%s passed", name)
			}
		}
	}
}

func TestReply_CookieOnlyWhenNamed(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.service.fields, b.route.ReplyHeaders = http.Header{"Set-Cookie": {"a=b"}}, []string{"Set-Cookie"}
	})
	if w := b.post(add11); w.Header().Get("Set-Cookie") != "a=b" {
		t.Errorf("header %v", w.Header())
	}
}

func TestReply_GivesOnlyWhatWasSigned(t *testing.T) {
	b := newBench(t, tampering("<soapenv:Header>", `<soapenv:Header><x:evil xmlns:x="urn:x">MARKER</x:evil>`))
	w := b.post(add11)
	want(t, w, 200, sum11)
	if strings.Contains(w.Body.String(), "MARKER") {
		t.Errorf("an unsigned header passed: %s", w.Body)
	}
}

// Exclusive canonical XML leaves out a declaration that only content uses; the route names those to keep.
func TestReply_KeepsTheNamespacesThatTheRouteNames(t *testing.T) {
	const content = `<c:addResponse xmlns:c="http://counter.com">q:name</c:addResponse>`
	unsigned := tampering("<soapenv:Envelope ", `<soapenv:Envelope xmlns:q="urn:q" `)
	b := newBench(t, unsigned, func(b *bench) { b.service.inner = content })
	want(t, b.post(add11), 500, "FailedCheck")
	b = newBench(t, unsigned, func(b *bench) { b.service.inner, b.route.KeepNamespaces = content, []string{"urn:q"} })
	want(t, b.post(add11), 200, `xmlns:q="urn:q"`)
}

func TestReply_PassesAsReceivedWithoutMessageSecurity(t *testing.T) {
	for _, transport := range []policy.Transport{policy.TransportNone, policy.TransportHTTPS, policy.TransportGSI} {
		t.Run(transport.String(), func(t *testing.T) {
			reply := "<?xml version='1.0'?>\n" + envelope11(fault11) + "\n"
			b := newBench(t, none(transport), answering(500, "text/xml;charset=utf-8", reply))
			w := b.post(add11)
			if w.Code != 500 || w.Body.String() != reply || w.Header().Get("Content-Type") != "text/xml;charset=utf-8" {
				t.Errorf("answer %d %v %s", w.Code, w.Header(), w.Body)
			}
			got := b.service.only()
			if got.body != add11 {
				t.Errorf("the service got %s", got.body)
			}
			if shown := got.peers > 0; shown != (transport == policy.TransportGSI) {
				t.Errorf("the client showed %d certificates", got.peers)
			}
		})
	}
}

func TestReply_WithoutMessageSecurityMustBeSOAPAllTheSame(t *testing.T) {
	for name, k := range map[string]knob{
		"html": answering(200, "text/html", "<p>hello</p>"),
		"no type": func(b *bench) {
			b.service.answer = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
				w.Header()["Content-Type"] = nil
				io.WriteString(w, add11)
			}
		},
		"no envelope":       answering(200, "text/xml", "<a/>"),
		"dtd":               answering(200, "text/xml", "<!DOCTYPE a>"+add11),
		"400 with SOAP 1.1": answering(400, "text/xml", add11),
		"two types": func(b *bench) {
			b.service.answer = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
				w.Header()["Content-Type"] = []string{"text/xml", "text/html"}
				io.WriteString(w, add11)
			}
		},
		"other status": answering(403, "text/xml", add11),
		"too deep": func(b *bench) {
			answering(200, "text/xml", envelope11(strings.Repeat("<a>", 300)+strings.Repeat("</a>", 300)))(b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, none(policy.TransportNone), k)
			want(t, b.post(add11), 500, "soapenv:Server")
		})
	}
}

func TestReply_EmptyPassesForOneWayCallsWithoutMessageSecurity(t *testing.T) {
	for _, status := range []int{200, 202, 204} {
		b := newBench(t, none(policy.TransportNone), answering(status, "", ""))
		if w := b.post(add11); w.Code != status || w.Body.Len() != 0 {
			t.Errorf("answer %d %s", w.Code, w.Body)
		}
	}
	b := newBench(t, none(policy.TransportNone), answering(202, "text/plain", "MARKER"))
	if w := b.post(add11); w.Code != 500 {
		t.Errorf("a 202 with a body: %d %s", w.Code, w.Body)
	}
}

func TestReply_BeyondTheLimitIsCutOff(t *testing.T) {
	b := newBench(t, none(policy.TransportNone), answering(200, "text/xml", envelope11("<a>"+strings.Repeat("x", 5000)+"</a>")), func(b *bench) {
		b.limits.Message.MessageBytes = 4096
	})
	want(t, b.post(add11), 500, "reply is larger than the limit")
}

func TestReply_SOAP12FaultMayComeWith400(t *testing.T) {
	fault := `<e:Envelope xmlns:e="` + soap.Envelope12 + `"><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value></e:Code><e:Reason><e:Text xml:lang="en">no</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>`
	b := newBench(t, none(policy.TransportNone), answering(400, "application/soap+xml", fault))
	if w := b.post(add12, "Content-Type", "application/soap+xml", "SOAPAction", ""); w.Code != 400 || w.Body.String() != fault {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
}

func TestGet_PassesTheDescriptionWithTheRoutesTransport(t *testing.T) {
	b := newBench(t, over(policy.TransportGSI), answering(200, "text/xml", "<definitions/>"))
	w := b.get("/wsrf/services/CounterService?wsdl")
	if w.Code != 200 || w.Body.String() != "<definitions/>" {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	if got := b.service.only(); got.method != "GET" || got.peers == 0 || got.path != "/wsrf/services/CounterService?wsdl" || got.body != "" {
		t.Errorf("the service got %+v", got)
	}
}

func TestGet_NeedsNoCredentialWhereTheTransportUsesNone(t *testing.T) {
	b := newBench(t, answering(200, "text/xml", "<definitions/>"), func(b *bench) { b.source = unreadableSource{} })
	want(t, b.get("/wsrf/services/CounterService?wsdl"), 200, "definitions")
}

func TestGet_FailuresAreTextOfOurs(t *testing.T) {
	b := newBench(t, answering(404, "text/html", "MARKER"))
	w := b.get("/wsrf/services/CounterService?wsdl")
	want(t, w, 502, "the service answered HTTP 404")
	if strings.Contains(w.Body.String(), "MARKER") {
		t.Errorf("answer %s", w.Body)
	}
	b = newBench(t, over(policy.TransportGSI), func(b *bench) { b.source = unreadableSource{} })
	want(t, b.get("/wsrf/services/CounterService?wsdl"), 503, "chmod 0600 it")
	b = newBench(t)
	b.service.Close()
	want(t, b.get("/wsrf/services/CounterService?wsdl"), 502, "connection refused")
}

func TestServe_LeavesTheEnginesOwnAddressingAlone(t *testing.T) {
	for _, dialect := range []string{soap.Addressing200508, soap.Addressing200403} {
		b := newBench(t, none(policy.TransportNone), answering(200, "text/xml", add11), func(b *bench) { b.route.Addressing = policy.Addressing200508 })
		message := strings.ReplaceAll(addressed("urn:uuid:1"), soap.Addressing200508, dialect)
		want(t, b.post(message), 200, "")
		if got := b.service.only().body; got != message {
			t.Errorf("the service got %s", got)
		}
	}
}

func TestPlain_RouteMayAddAddressing(t *testing.T) {
	b := newBench(t, none(policy.TransportNone), answering(200, "text/xml", add11), func(b *bench) { b.route.Addressing = policy.Addressing200403 })
	want(t, b.post(add11), 200, "")
	m := gridtest.Must(soap.Read(xmlscan.Memory(b.service.only().body), soap.Limits{}))
	if m.Addressing.Dialect != soap.Addressing200403 || m.Addressing.Action != addAction {
		t.Errorf("addressing %+v", m.Addressing)
	}
}
