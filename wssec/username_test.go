package wssec_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gsigw/soap"
	. "gsigw/wssec"
)

const usernameProfile = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"

const secret = `p<ä&"ss]]>`

func password(s string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(s), nil }
}

func usernameToken(t *testing.T, p *UsernameToken) *soap.Node {
	t.Helper()
	doc, pending := secureWith(t, p, modernRequest, nil)
	if _, ok := pending.(UnsignedReply); !ok {
		t.Errorf("the pending is %T", pending)
	}
	s := securityOf(t, doc)
	if len(s.Children) != 2 || s.Children[0].Name != (soap.Name{Space: soap.WSU, Local: "Timestamp"}) {
		t.Fatalf("got %s", outline(s, 0))
	}
	return s.Child(soap.WSSE, "UsernameToken")
}

func TestUsernameToken_SendsThePassword(t *testing.T) {
	n := usernameToken(t, &UsernameToken{User: "J<ne", Password: password(secret)})
	if len(n.Children) != 2 || n.Children[0].Text != "J<ne" {
		t.Fatal(outline(n, 0))
	}
	if p := n.Children[1]; p.Attr("", "Type") != usernameProfile+"#PasswordText" || p.Text != secret {
		t.Error(outline(p, 0), p.Text)
	}
}

func TestUsernameToken_SendsTheDigest(t *testing.T) {
	at := time.Date(2026, 11, 22, 4, 0, 0, 123456789, time.FixedZone("", 3600))
	p := &UsernameToken{User: "Jane", Password: password(secret), Digest: true, Now: func() time.Time { return at }}
	n := usernameToken(t, p)
	var names []string
	for _, c := range n.Children {
		names = append(names, c.Name.Local)
	}
	if got := strings.Join(names, " "); got != "Username Password Nonce Created" {
		t.Fatal(got)
	}
	if got := n.Children[1].Attr("", "Type"); got != usernameProfile+"#PasswordDigest" {
		t.Error(got)
	}
	nonce, err := base64.StdEncoding.DecodeString(n.Children[2].Text)
	if err != nil || len(nonce) != 16 || n.Children[2].Attr("", "EncodingType") != base64Type {
		t.Errorf("nonce %q", n.Children[2].Text)
	}
	created := n.Children[3].Text
	if created != "2026-11-22T03:00:00.123Z" {
		t.Errorf("created %s (R3217, R3220)", created)
	}
	sum := sha1.Sum([]byte(string(nonce) + created + secret))
	if got := n.Children[1].Text; got != base64.StdEncoding.EncodeToString(sum[:]) {
		t.Errorf("digest %s (R4212)", got)
	}
	if again := usernameToken(t, p); again.Children[2].Text == n.Children[2].Text {
		t.Error("one nonce for two messages")
	}
}

func TestUsernameToken_MustBeUnderstood(t *testing.T) {
	for _, doc := range []string{plainRequest, modernRequest} {
		doc, _ := secureWith(t, &UsernameToken{User: "Jane", Password: password(secret)}, doc, nil)
		if m := parse(t, doc); !m.Blocks[0].MustUnderstand {
			t.Error("the service may pass the token by")
		}
	}
}

func TestUsernameToken_Refuses(t *testing.T) {
	gone := errors.New("no such file")
	engine := strings.Replace(modernRequest, "<soapenv:Header>", `<soapenv:Header><s:Security xmlns:s="`+soap.WSSE+`"/>`, 1)
	for _, c := range []struct {
		name, doc string
		profile   UsernameToken
		want      error
	}{
		{"the engine's own header", engine, UsernameToken{User: "Jane", Password: password(secret)}, ErrEngineSecurity},
		{"no user", modernRequest, UsernameToken{Password: password(secret)}, ErrNoPassword},
		{"no source", modernRequest, UsernameToken{User: "Jane"}, ErrNoPassword},
		{"no password", modernRequest, UsernameToken{User: "Jane", Password: password("")}, ErrNoPassword},
		{"a source that fails", modernRequest, UsernameToken{User: "Jane", Password: func(context.Context) ([]byte, error) { return nil, gone }}, gone},
	} {
		if _, _, err := c.profile.Secure(t.Context(), parse(t, c.doc), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for name, text := range map[string]string{"no UTF-8": "se\xffcret", "a control character": "se\x01cret", "no character": "se\uffffcret"} {
		_, _, err := (&UsernameToken{User: "Jane", Password: password(text)}).Secure(t.Context(), parse(t, modernRequest), nil)
		if err == nil || strings.Contains(err.Error(), "cret") {
			t.Errorf("password, %s: %v", name, err)
		}
		if _, _, err := (&UsernameToken{User: text, Password: password(secret)}).Secure(t.Context(), parse(t, modernRequest), nil); err == nil {
			t.Errorf("user, %s: taken", name)
		}
	}
	// As bytes of a digest, any password will do.
	usernameToken(t, &UsernameToken{User: "Jane", Password: password("se\xffcret"), Digest: true})
}

func TestUsernameToken_ErasesThePassword(t *testing.T) {
	for _, digest := range []bool{false, true} {
		b := []byte(secret)
		p := &UsernameToken{User: "Jane", Password: func(context.Context) ([]byte, error) { return b, nil }, Digest: digest}
		usernameToken(t, p)
		if string(b) != strings.Repeat("\x00", len(secret)) {
			t.Errorf("digest %v: the password is still in memory", digest)
		}
	}
}

func TestUsernameToken_ShowsNoSecret(t *testing.T) {
	p := UsernameToken{User: "Jane", Password: password(secret)}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		for _, v := range []any{p, &p} {
			if got := fmt.Sprintf(format, v); got != `username token of "Jane"` {
				t.Errorf("%s: %s", format, got)
			}
		}
	}
	if got := p.LogValue().String(); got != `username token of "Jane"` {
		t.Error(got)
	}
}

// Nothing that such a reply says is believed for its signature's sake: not even a good one.
func TestUnsignedReply_RefusesEveryReply(t *testing.T) {
	g := newGrid(t)
	_, pending := secureWith(t, &UsernameToken{User: "Jane", Password: password(secret)}, modernRequest, nil)
	signed, _ := secureWith(t, &X509Message{}, modernRequest, g.Host)
	for _, reply := range []string{modernRequest, signed} {
		_, err := pending.Verify(t.Context(), parse(t, reply), Expect{})
		wantClass(t, err, ClassNoSecurity)
	}
}
