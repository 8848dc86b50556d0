package policy

import (
	"net/url"
	"slices"
	"time"
)

// Route is one destination and how messages to it are secured. The zero values are the safe ones.
type Route struct {
	Name    string
	Target  Target
	Upgrade bool // an http call to the target's host goes out over https

	For       Stack
	Message   Message
	Transport Transport
	Digest    Digest
	Token     Token

	// KeyReference is how the signature names its certificate (wss-x509).
	KeyReference KeyReference
	// InclusiveNamespaces has signatures list the prefixes in scope, as the Basic Security Profile wants it (wss-x509).
	InclusiveNamespaces bool
	// SignatureConfirmation demands that a reply confirms the request's signature (wss-x509, saml).
	SignatureConfirmation bool
	// Privacy has requests encrypted, and demands encrypted replies.
	Privacy             bool
	Cipher              Cipher
	KeyTransport        KeyTransport
	EncryptKeyReference KeyReference // how the encrypted key names its certificate
	Order               Order        // wss-x509; gsi-message always encrypts first
	// EncryptHeaders are header blocks that are encrypted too.
	EncryptHeaders []Name
	// EncryptElements are elements in Body that are encrypted instead of all its content, in requests and in replies.
	EncryptElements []Name
	// Username and PasswordType are those of wss-username.
	Username     string
	PasswordType PasswordType
	// Confirmation is how the service knows that the assertion is its bearer's (saml).
	Confirmation Confirmation
	// Audience is what the assertion's audience may be, where it has one; none means any (saml).
	Audience []string

	// Addressing is the dialect to add when the engine sent no addressing headers.
	Addressing Addressing
	// DropHeaders are header blocks to take out before signing, instead of signing them.
	DropHeaders []Name
	// KeepNamespaces are namespaces whose unsigned bindings a rebuilt reply may keep (docs: unsigned namespace context).
	KeepNamespaces []string
	// PeerDN are the subjects that may answer, in OpenSSL one-line form; none means the target host's own DN.
	PeerDN []string

	AllowMD5       bool // MD5 signatures in certificate chains
	AllowRSA512    bool // RSA keys of 512 bits and more
	AllowLoopback  bool // the target may resolve to a loopback address
	AllowLinkLocal bool // the target may resolve to a link-local address
	AllowOwn       bool // the target may be a listener of the gateway itself

	// CredentialName overrides the caller's own credential.
	CredentialName string
	// Callers who may use the route; none means every configured caller.
	Callers []string

	UnsignedAttachments bool          // attachments pass although message security does not cover them
	UnsignedReply       UnsignedReply // what becomes of an unsigned reply to a signed request

	Actions    []string // allowed actions; none means any
	Operations []Name   // allowed first children of Body; none means any
	Gets       []string // paths on the target's host, exact or ending in /*, that may be fetched with GET
	Queries    []string // query strings, exact, that may stand on a call

	ReplyHeaders []string // reply headers passed on besides the standard ones
	MaxSkew      time.Duration
	Timeouts     Timeouts
}

// Timeouts bound each leg of an exchange; 0 means the default of the dialler.
type Timeouts struct {
	Resolve   time.Duration // name to addresses
	Dial      time.Duration // TCP connection, for each address
	Handshake time.Duration // TLS
	Progress  time.Duration // the longest pause while the request is written or the reply is read
	Header    time.Duration // from the request's last byte to the end of the reply's header
	Total     time.Duration // the whole call
}

// Upstream is the address at which the call is sent: what was checked, re-encoded, with the target's scheme.
func (r *Route) Upstream(c Call) *url.URL {
	return &url.URL{Scheme: r.Target.Scheme, Host: r.Target.Authority(), Path: c.Path, RawQuery: c.RawQuery}
}

// Signed says whether messages are signed in both directions. Where they are not, a reply is as good as its connection.
func (r *Route) Signed() bool {
	switch r.Message {
	case MessageNone, MessageUsername:
		return false
	case MessageSAML:
		return r.Confirmation != Bearer
	}
	return true
}

// Secured says whether the route needs a credential of the caller: for a signature, or for TLS as the user.
func (r *Route) Secured() bool { return r.Signed() || r.Transport == TransportGSI }

func (r *Route) permits(caller string) bool {
	return len(r.Callers) == 0 || slices.Contains(r.Callers, caller)
}

// treatment of a GET has no message to secure.
func (r *Route) treatment(method string) string {
	if method == "GET" {
		return "transport " + r.Transport.String()
	}
	privacy := ""
	if r.Privacy {
		privacy = " with privacy"
	}
	return "message " + r.Message.String() + privacy + ", transport " + r.Transport.String()
}
