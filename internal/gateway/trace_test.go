package gateway

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gsigw/internal/policy"
	"gsigw/soap"
)

func tracing(t *testing.T, b *bench) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "trace")
	trace, err := NewTrace(dir, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	b.gateway.Trace = trace
	return dir
}

func TestTrace_KeepsTheFourViewsForTheOwnerAlone(t *testing.T) {
	b := newBench(t)
	dir := tracing(t, b)
	want(t, b.post(add11), 200, sum11)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory %v: %v", info.Mode(), err)
	}
	for name, part := range map[string]string{
		"EXCHANGE.1-request.http": add11, "EXCHANGE.2-sent.http": "BinarySecurityToken",
		"EXCHANGE.3-reply.http": "BinarySecurityToken", "EXCHANGE.4-given.http": sum11,
	} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), part) {
			t.Errorf("%s: %v %s", name, err, text)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTrace_KeepsAFaultOfOurs(t *testing.T) {
	b := newBench(t)
	dir := tracing(t, b)
	b.post("no XML")
	text, err := os.ReadFile(filepath.Join(dir, "EXCHANGE.4-given.http"))
	if err != nil || !strings.Contains(string(text), "Fault") {
		t.Errorf("%v %s", err, text)
	}
}

// All that is secret is a MARKER here: none may stand in a trace, a log or a fault.
func TestNoSecretInTraceOrLog(t *testing.T) {
	const pem = "-----BEGIN RSA PRIVATE KEY-----\nMARKER\n-----END RSA PRIVATE KEY-----"
	header := `<soapenv:Header><s:Security xmlns:s="` + soap.WSSE + `" soapenv:actor="urn:x"><s:UsernameToken><s:Username>jane</s:Username>` +
		`<s:Password Type="x">MARKER</s:Password></s:UsernameToken><t:BinarySecret xmlns:t="urn:t">MARKER</t:BinarySecret></s:Security></soapenv:Header>`
	message := strings.Replace(add11, "<soapenv:Body>", header+"<soapenv:Body>", 1)
	message = strings.Replace(message, ">10<", ">"+pem+"<", 1)
	b := newBench(t, none(policy.TransportNone), answering(500, "text/xml", envelope11(strings.Replace(fault11, "no such counter", pem, 1))))
	dir := tracing(t, b)
	b.post(message, "Authorization", "Basic MARKER", "Cookie", "MARKER", "Proxy-Authorization", "MARKER", "Gsigw-Secret", "MARKER", "X-Api-Key", "MARKER")
	b.gateway.newID = func() string { return "BROKEN" }
	b.post("<a>"+message, "Authorization", "Basic MARKER")
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 6 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), "MARKER") {
			t.Errorf("%s: %v\n%s", file, err, text)
		}
	}
	if strings.Contains(b.log.String(), "MARKER") {
		t.Errorf("log %s", b.log)
	}
}

func TestTrace_CutsSecrets(t *testing.T) {
	for in, want := range map[string]string{
		`<w:Password>x</w:Password>y`:                                 "<w:Password>[cut]</w:Password>y",
		`<Password a="b">x<i/>x</Password>`:                           `<Password a="b">[cut]</Password>`,
		`<w:Password>x`:                                               "<w:Password>[cut]",
		`<w:PasswordText>x</w:PasswordText>`:                          `<w:PasswordText>x</w:PasswordText>`,
		"a-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----b": "a[cut: a private key]b",
		"a-----BEGIN EC PRIVATE KEY-----\nx":                          "a[cut: a private key]",
		`<s:Assertion ID="a">x<s:Advice><s:Assertion>x</s:Assertion></s:Advice>x</s:Assertion>y`: `<s:Assertion ID="a">[cut]</s:Assertion>y`,
		`<Password><![CDATA[</Password>]]>x</Password>y`:                                         "<Password>[cut]</Password>y",
		`<Password>x</Password>y<t:BinarySecret>x</t:BinarySecret >z`:                            "<Password>[cut]</Password>y<t:BinarySecret>[cut]</t:BinarySecret >z",
		`<Password>x<Assertion>x</Assertion>x</Password>y<Assertion>x`:                           "<Password>[cut]</Password>y<Assertion>[cut]",
		`&lt;w:Password Type=&#34;t&#34;&gt;x&lt;/w:Password&gt;y`:                               `&lt;w:Password Type=&#34;t&#34;&gt;[cut]&lt;/w:Password&gt;y`,
		`&#60;Password&#62;x&#x3c;/Password&#X3E;`:                                               `&#60;Password&#62;[cut]`,
		`&#060;Password>x&#x3C;/Password&#x3E;y`:                                                 `&#060;Password>[cut]&#x3C;/Password&#x3E;y`,
		`&amp;lt;saml:Assertion a='b'&amp;gt;x&amp;lt;/saml:Assertion&amp;gt;y`:                  `&amp;lt;saml:Assertion a='b'&amp;gt;[cut]&amp;lt;/saml:Assertion&amp;gt;y`,
		`&lt;PasswordText&gt;x`:                                                                  `&lt;PasswordText&gt;x`,
		"-----BEGIN CERTIFICATE-----\nx":                                                         "-----BEGIN CERTIFICATE-----\nx",
	} {
		if got := string(withoutSecrets([]byte(in))); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func TestTrace_RefusesADirectoryThatOthersRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := NewTrace(dir, nil); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
		t.Errorf("error %v", err)
	}
}

func TestTrace_IsBounded(t *testing.T) {
	b := newBench(t)
	var said []error
	trace, err := NewTrace(filepath.Join(t.TempDir(), "trace"), func(err error) { said = append(said, err) })
	if err != nil {
		t.Fatal(err)
	}
	trace.begin("long", b.request("")).received(text(slices.Repeat([]byte("x"), traceBody+10)))
	kept, err := os.ReadFile(filepath.Join(trace.dir, "long.1-request.http"))
	if err != nil || !strings.HasSuffix(string(kept), "x\n[10 more bytes]") {
		t.Errorf("%v, %d bytes", err, len(kept))
	}
	trace.left.Store(10)
	b.gateway.Trace = trace
	want(t, b.post(add11), 200, sum11) // a trace that is full stops no exchange
	if len(said) != 1 {
		t.Errorf("said %v", said)
	}
	if _, err := os.Stat(filepath.Join(trace.dir, "EXCHANGE.1-request.http")); err == nil {
		t.Error("written beyond the bound")
	}
}
