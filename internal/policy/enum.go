package policy

// Stack is the kind of service behind a route; it sets defaults and names quirks.
type Stack int

const (
	StackAny Stack = iota
	StackGT4       // Globus Toolkit 4: sha1, WS-Addressing 2004/03 (facts/gt4-wire.md)
)

// Stacks are the names of the Stack values, in their order; so for the lists below.
var Stacks = []string{"any", "gt4"}

func (s Stack) String() string { return nameOf(Stacks, int(s)) }

// Message is the message-level profile.
type Message int

const (
	MessageNone     Message = iota
	MessageGSI              // GSI Secure Message: an X.509 signature as GT4 makes it
	MessageX509             // WS-Security, X.509 token profile
	MessageUsername         // WS-Security, username token profile; nothing is signed
	MessageSAML             // WS-Security, SAML token profile
)

var Messages = []string{"none", "gsi-message", "wss-x509", "wss-username", "saml"}

func (m Message) String() string { return nameOf(Messages, int(m)) }

// Transport is the transport-level profile.
type Transport int

const (
	TransportNone  Transport = iota // plain http
	TransportHTTPS                  // TLS; the service is authenticated, the user is not
	TransportGSI                    // TLS with the user's proxy chain as client certificate
)

var Transports = []string{"none", "https", "gsi-transport"}

func (t Transport) String() string { return nameOf(Transports, int(t)) }

// Digest is the hash of a message signature.
type Digest int

const (
	SHA256 Digest = iota
	SHA1
	SHA384
	SHA512
)

var Digests = []string{"sha256", "sha1", "sha384", "sha512"}

func (d Digest) String() string { return nameOf(Digests, int(d)) }

// Token is the form of the signer's certificates in the message.
type Token int

const (
	TokenAuto    Token = iota // PKIPath for a proxy chain, X509v3 for an end-entity certificate
	TokenPKIPath              // X509PKIPathv1
	TokenX509v3               // the leaf alone
)

var Tokens = []string{"auto", "pkipath", "x509v3"}

func (t Token) String() string { return nameOf(Tokens, int(t)) }

// Addressing is the WS-Addressing dialect to add where the engine sent none.
type Addressing int

const (
	AddressingKeep Addressing = iota // leave the message as it came
	Addressing200303
	Addressing200403
	Addressing200408
	Addressing200508
)

var Addressings = []string{"keep", "2003/03", "2004/03", "2004/08", "2005/08"}

func (a Addressing) String() string { return nameOf(Addressings, int(a)) }

// Namespace is the namespace URI of the dialect; empty for AddressingKeep.
func (a Addressing) Namespace() string {
	switch a {
	case Addressing200303, Addressing200403, Addressing200408:
		return "http://schemas.xmlsoap.org/ws/" + a.String() + "/addressing"
	case Addressing200508:
		return "http://www.w3.org/2005/08/addressing"
	}
	return ""
}

// UnsignedReply has one value: an unsigned reply to a signed request is refused. The key exists so that a config can
// say so, and so that nobody looks for the other choice.
type UnsignedReply int

const RefuseUnsigned UnsignedReply = 0

var UnsignedReplies = []string{"refuse"}

func (u UnsignedReply) String() string { return nameOf(UnsignedReplies, int(u)) }

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "invalid"
	}
	return names[i]
}
