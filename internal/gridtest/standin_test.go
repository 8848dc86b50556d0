package gridtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
	"gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// client calls a StandIn as a GT4 client would.
type client struct {
	t       *testing.T
	pki     *PKI
	store   *trust.Store
	service *StandIn
	cred    *gsi.Credential
	http    *http.Client
}

func newClient(t *testing.T, o StandInOptions) *client {
	t.Helper()
	pki := Must(NewPKI(t.TempDir(), PKIOptions{}))
	c := &client{t: t, pki: pki, store: Must(trust.Open(pki.TrustDir, trust.Options{})), cred: Must(pki.Proxy(gsi.Limits{}))}
	o.Host, o.Other, o.Trust = pki.Host, pki.User, c.store
	c.service = Must(StartStandIn(o))
	t.Cleanup(func() { c.service.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(pki.CA.Cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c
}

func (c *client) message(action, headers, body string) *soap.Message {
	c.t.Helper()
	doc := `<soapenv:Envelope xmlns:soapenv="` + soap.Envelope11 + `"><soapenv:Header>` + headers + `</soapenv:Header><soapenv:Body>` + body + `</soapenv:Body></soapenv:Envelope>`
	m := Must(soap.Read(xmlscan.Memory(doc), soap.Limits{}))
	return Must(m.AddAddressing(soap.Addressing200403, c.service.URL(), action, nil))
}

func (c *client) sign(m *soap.Message) ([]byte, wssec.Pending) {
	c.t.Helper()
	profile := &wssec.GSIMessage{Verifier: &wssec.Verifier{Trust: c.store, Replay: wssec.NewReplayCache(0, nil)}}
	edit, pending, err := profile.Secure(c.t.Context(), m, c.cred)
	if err != nil {
		c.t.Fatal(err)
	}
	var b bytes.Buffer
	edit.WriteTo(&b)
	return b.Bytes(), pending
}

func (c *client) post(ctx context.Context, request []byte) (int, []byte, error) {
	r := Must(http.NewRequestWithContext(ctx, "POST", c.service.URL(), bytes.NewReader(request)))
	reply, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return reply.StatusCode, body, err
}

// call makes one secured call and gives the text of the verified reply.
func (c *client) call(action, headers, body string) (string, error) {
	c.t.Helper()
	signed, pending := c.sign(c.message(action, headers, body))
	_, reply, err := c.post(c.t.Context(), signed)
	if err != nil {
		return "", err
	}
	m, err := soap.Read(xmlscan.Memory(reply), soap.Limits{})
	if err != nil {
		return "", err
	}
	v, err := pending.Verify(c.t.Context(), m, wssec.Expect{Peer: c.isHost})
	if err != nil {
		return m.FaultText(), err
	}
	if v.IsFault() {
		return m.FaultText(), errFault
	}
	return v.Text()
}

var errFault = errors.New("a signed fault")

func (c *client) isHost(id *gsi.Identity) error {
	if !trust.HostMatches(id.EndEntity, "127.0.0.1") {
		return errors.New("not the host")
	}
	return nil
}

const (
	createAction = "http://counter.com/CounterPortType/createCounterRequest"
	addAction    = "http://counter.com/CounterPortType/addRequest"
	createBody   = `<createCounter xmlns="http://counter.com"/>`
	addBody      = `<add xmlns="http://counter.com">5</add>`
)

var digits = regexp.MustCompile(`[0-9]+$`)

// counter makes a counter and gives its resource key header.
func (c *client) counter() string {
	c.t.Helper()
	text, err := c.call(createAction, "", createBody)
	if err != nil {
		c.t.Fatal(err)
	}
	return `<n:CounterKey xmlns:n="http://counter.com">` + digits.FindString(text) + `</n:CounterKey>`
}

func TestStandIn_CountsOverTLS(t *testing.T) {
	c := newClient(t, StandInOptions{TLS: true})
	key := c.counter()
	for _, want := range []string{"5", "10"} {
		if got, err := c.call(addAction, key, addBody); err != nil || got != want {
			t.Fatalf("add: %q, %v", got, err)
		}
	}
	value := `<q:GetResourceProperty xmlns:q="` + resourcePropertiesSpace + `" xmlns:ns1="http://counter.com">ns1:Value</q:GetResourceProperty>`
	if got, err := c.call("urn:GetResourceProperty", key, value); err != nil || got != "10" {
		t.Errorf("Value: %q, %v", got, err)
	}
	if _, err := c.call("urn:Destroy", key, `<Destroy xmlns="`+resourceLifetimeSpace+`"/>`); err != nil {
		t.Error(err)
	}
	if fault, err := c.call(addAction, key, addBody); err == nil || !strings.Contains(fault, "NoSuchResourceException") {
		t.Errorf("a destroyed counter counts: %q, %v", fault, err)
	}
}

func TestStandIn_RefusesWhatGT4Refuses(t *testing.T) {
	c := newClient(t, StandInOptions{Authorized: []string{UserName}})
	key := c.counter()
	good := func() []byte { b, _ := c.sign(c.message(addAction, key, addBody)); return b }
	replace := func(old, new string) []byte {
		b := good()
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("no %s in %s", old, b)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
	twice := good()
	other := *c
	other.cred = c.pki.ECUser
	stranger := *c
	stranger.cred = Must(c.pki.CA.Issue(Request{Name: "/O=Grid/OU=gsigw test/CN=Somebody Else"}))
	signedBy := func(c client) []byte { b, _ := c.sign(c.message(addAction, key, addBody)); return b }
	for _, r := range []struct {
		name    string
		request []byte
		want    string
	}{
		{"no security header", Must(io.ReadAll(io.NewSectionReader(c.message(addAction, key, addBody), 0, 1<<20))), "authentication required for"},
		{"changed Body", replace(">5<", ">6<"), "FailedCheck"},
		{"no EncodingType", replace(` EncodingType="`+encoding+`"`, ""), "EncodingType"},
		{"foreign actor", replace(`soapenv:mustUnderstand="1"`, `soapenv:actor="urn:elsewhere"`), "authentication required for"},
		{"unsigned resource key", replace(`</soapenv:Header>`, `<n:CounterKey xmlns:n="http://counter.com">1</n:CounterKey></soapenv:Header>`), "was not secured"},
		{"message seen before", twice, "Duplicate message"},
		{"addressing of another time", signed2005(t, c), "Target service is null"},
		{"elliptic curve", signedBy(other), "unsupported algorithm"},
		{"unauthorised", signedBy(stranger), "is not authorized to use operation: {http://counter.com}add"},
	} {
		if r.name == "message seen before" {
			c.post(t.Context(), twice)
		}
		status, reply, err := c.post(t.Context(), r.request)
		if err != nil || status != http.StatusInternalServerError || !bytes.Contains(reply, []byte(r.want)) {
			t.Errorf("%s: %d, %v, %s", r.name, status, err, reply)
		}
		if bytes.Contains(reply, []byte("Signature")) {
			t.Errorf("%s: the fault is signed", r.name)
		}
	}
}

// signed2005 is a message in the dialect that GT 4.0 does not know.
func signed2005(t *testing.T, c *client) []byte {
	t.Helper()
	doc := `<soapenv:Envelope xmlns:soapenv="` + soap.Envelope11 + `"><soapenv:Body>` + createBody + `</soapenv:Body></soapenv:Envelope>`
	m := Must(soap.Read(xmlscan.Memory(doc), soap.Limits{}))
	b, _ := c.sign(Must(m.AddAddressing(soap.Addressing200508, c.service.URL(), createAction, nil)))
	return b
}

func TestStandIn_RefusesClientCertificateOfUnknownCA(t *testing.T) {
	c := newClient(t, StandInOptions{TLS: true, Plain: true, ClientCerts: tls.RequireAnyClientCert})
	stranger := Must(c.pki.Other.Issue(Request{Name: UserName, Key: c.pki.User.Key}))
	c.http.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{stranger.Leaf().Raw}, PrivateKey: stranger.Key}, nil
	}
	if status, _, err := c.post(t.Context(), []byte(createBody)); err == nil {
		t.Errorf("a stranger got HTTP %d", status)
	}
}

func TestStandIn_StockKnowsNoSHA2(t *testing.T) {
	c := newClient(t, StandInOptions{Stock: true})
	if fault, err := c.call(createAction, "", createBody); err == nil || !strings.Contains(fault, "NullPointerException") {
		t.Errorf("%q, %v", fault, err)
	}
}

func TestStandIn_MisbehavesAsTold(t *testing.T) {
	c := newClient(t, StandInOptions{})
	key := c.counter()
	for m, class := range map[Misbehaviour]wssec.Class{
		TamperBody: wssec.ClassDigest, TamperHeader: wssec.ClassDigest, DropSignature: wssec.ClassNoSecurity,
		WrongRelatesTo: wssec.ClassRelatesTo, StaleTimestamp: wssec.ClassExpired, OtherSigner: wssec.ClassIdentity,
		UnsignedFault: wssec.ClassNoSecurity, ReplayReply: wssec.ClassRelatesTo, WrapBody: wssec.ClassWrapped,
	} {
		c.service.Misbehave(m)
		_, err := c.call(addAction, key, addBody)
		if e, ok := errors.AsType[*wssec.Error](err); !ok || e.Class != class {
			t.Errorf("%s: %v, want class %s", m, err, class)
		}
	}
	c.service.Misbehave(SignedFault)
	if text, err := c.call(addAction, key, addBody); err != errFault || !strings.Contains(text, "out of order") {
		t.Errorf("signed fault: %q, %v", text, err)
	}
}

func TestStandIn_MisbehavesOverHTTP(t *testing.T) {
	c := newClient(t, StandInOptions{})
	signed := func() []byte { b, _ := c.sign(c.message(createAction, "", createBody)); return b }
	c.service.Misbehave(Redirect)
	if status, _, err := c.post(t.Context(), signed()); err != nil || status != http.StatusTemporaryRedirect {
		t.Error(status, err)
	}
	c.service.Misbehave(Garbage)
	if _, reply, err := c.post(t.Context(), signed()); err != nil || !bytes.HasPrefix(reply, []byte("<html>")) {
		t.Error(string(reply), err)
	}
	c.service.Misbehave(HangUp)
	if _, _, err := c.post(t.Context(), signed()); err == nil {
		t.Error("an answer after hanging up")
	}
	c.service.Misbehave(Slow)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := c.post(ctx, signed()); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestStandIn_SeesTheProxyChainOverTLS(t *testing.T) {
	var seen Seen
	c := newClient(t, StandInOptions{TLS: true, Plain: true, ClientCerts: tls.RequireAnyClientCert, Seen: func(s Seen) { seen = s }})
	transport := c.http.Transport.(*http.Transport)
	chain := tls.Certificate{PrivateKey: c.cred.Key}
	for _, cert := range c.cred.Chain {
		chain.Certificate = append(chain.Certificate, cert.Raw)
	}
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &chain, nil }
	m := c.message(createAction, "", createBody)
	status, reply, err := c.post(t.Context(), Must(io.ReadAll(io.NewSectionReader(m, 0, m.Size()))))
	if err != nil || status != http.StatusOK || bytes.Contains(reply, []byte("Signature")) {
		t.Fatalf("%d, %v, %s", status, err, reply)
	}
	if seen.TLSPeer != UserName || seen.Signer != "" {
		t.Errorf("saw %q by TLS, %q by signature", seen.TLSPeer, seen.Signer)
	}
}

func TestStandIn_DemandsPrivacy(t *testing.T) {
	c := newClient(t, StandInOptions{TLS: true, Privacy: true})
	if text, err := c.call(createAction, "", createBody); err == nil {
		t.Errorf("a readable request was taken: %s", text)
	}
	profile := &wssec.GSIMessage{
		Verifier: &wssec.Verifier{Trust: c.store},
		Privacy:  &wssec.Encryption{To: c.pki.Host.Leaf(), Cipher: xmlenc.AES128CBC, KeyTransport: xmlenc.RSA15},
	}
	edit, pending, err := profile.Secure(t.Context(), c.message(createAction, "", createBody), c.cred)
	if err != nil {
		t.Fatal(err)
	}
	_, reply, err := c.post(t.Context(), Must(io.ReadAll(edit.Reader())))
	if err != nil || !bytes.Contains(reply, []byte("EncryptedData")) || bytes.Contains(reply, []byte("CounterKey")) {
		t.Fatalf("%v: %s", err, reply)
	}
	v, err := pending.Verify(t.Context(), Must(soap.Read(xmlscan.Memory(reply), soap.Limits{})), wssec.Expect{Encrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := v.Message(nil); err != nil || !bytes.Contains(text, []byte("CounterKey")) {
		t.Errorf("%v: %s", err, text)
	}
}
