package wssec

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
)

// UsernameToken puts a user's name and password into the security header, and a Timestamp (UsernameToken profile 1.1,
// section 3). Nothing is signed: only over TLS does that say who calls and hide what is said. The Pending is
// UnsignedReply.
type UsernameToken struct {
	User     string
	Password func(context.Context) ([]byte, error) // asked for each message; erased after use

	// Digest sends the password's digest over a nonce and the time instead of the password.
	Digest   bool
	Lifetime time.Duration    // of the Timestamp [5m]
	Now      func() time.Time // [time.Now]
}

// UnsignedReply is the Pending of a request in which nothing is signed, so that its reply is not either. It verifies
// nothing: Verify refuses every reply. Who knows from the transport whose the reply is (TLS with the peer's certificate
// checked) looks for this type, and passes the reply on as one without message security:
//
//	if _, ok := pending.(wssec.UnsignedReply); ok && overTLS {
type UnsignedReply struct{}

// Verify refuses the reply.
func (UnsignedReply) Verify(context.Context, *soap.Message, Expect) (*Verified, error) {
	return nil, &Error{Class: ClassNoSecurity, Msg: "the request was not signed, so its reply proves nothing; only TLS can tell whose it is"}
}

// ErrNoPassword means that there is nothing to show the service.
var ErrNoPassword = errors.New("wssec: there is no user name or no password; the route takes username and password-file")

// The identifiers of the UsernameToken profile 1.1, section 3.1.
const (
	usernameProfile = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
	passwordDigest  = usernameProfile + "#PasswordDigest"
	passwordText    = usernameProfile + "#PasswordText"
)

// Secure puts the token in. The credential is not used, and may be nil.
func (p *UsernameToken) Secure(ctx context.Context, m *soap.Message, _ *gsi.Credential) (*soap.Edit, Pending, error) {
	if err := refuseEngineSecurity(m); err != nil {
		return nil, nil, err
	}
	if p.User == "" || p.Password == nil {
		return nil, nil, ErrNoPassword
	}
	password, err := p.Password(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("wssec: the password of %q: %w", p.User, err)
	}
	defer clear(password)
	if len(password) == 0 {
		return nil, nil, ErrNoPassword
	}
	now := instantOf(p.Now)
	token, err := p.token(newID(m, "UsernameToken-"), password, now)
	if err != nil {
		return nil, nil, err
	}
	header := securityHeader(m.Version, timestamp(newID(m, "TS-"), now, p.Lifetime), token)
	edit, err := m.Edit(m.PutHeaders(header))
	return edit, UnsignedReply{}, err
}

func (p *UsernameToken) token(id string, password []byte, now time.Time) ([]byte, error) {
	user, err := escape([]byte(p.User), "the user name")
	if err != nil {
		return nil, err
	}
	secret, err := p.secret(password, now)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `<wsse:UsernameToken xmlns:wsu="%s" wsu:Id="%s"><wsse:Username>%s</wsse:Username>%s</wsse:UsernameToken>`,
		soap.WSU, id, user, secret), nil
}

// secret writes Password and, with a digest, the Nonce and the Created that went into it.
func (p *UsernameToken) secret(password []byte, now time.Time) ([]byte, error) {
	if !p.Digest {
		text, err := escape(password, "the password")
		return fmt.Appendf(nil, `<wsse:Password Type="%s">%s</wsse:Password>`, passwordText, text), err
	}
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails (crypto/rand)
	created := now.UTC().Format("2006-01-02T15:04:05.000Z")
	h := sha1.New()
	h.Write(nonce[:])
	h.Write([]byte(created))
	h.Write(password)
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `<wsse:Password Type="%s">%s</wsse:Password><wsse:Nonce EncodingType="%s">%s</wsse:Nonce><wsu:Created>%s</wsu:Created>`,
		passwordDigest, b64(h.Sum(nil)), base64Binary, b64(nonce[:]), created), nil
}

// escape writes text as character data, and refuses what XML cannot carry. The error does not repeat it.
func escape(text []byte, what string) (string, error) {
	if !validText(text) {
		return "", fmt.Errorf("wssec: %s holds bytes that are not characters of XML in UTF-8", what)
	}
	var b strings.Builder
	err := xml.EscapeText(&b, text)
	return b.String(), err
}

// validText reports whether the bytes are characters of XML 1.0 (section 2.2) in UTF-8.
func validText(text []byte) bool {
	return !strings.ContainsFunc(string(text), func(r rune) bool { // U+FFFD for what is no UTF-8
		return !(r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r < 0xFFFD || r > 0xFFFF)
	})
}

// Format shows whose token it is, and never the password, whatever the verb.
func (p UsernameToken) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "username token of %q", p.User) }

// LogValue shows whose token it is.
func (p UsernameToken) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(p)) }
