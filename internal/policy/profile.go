package policy

// Cipher is how content is encrypted. The ones with gcm notice changes by themselves.
type Cipher int

const (
	AES256GCM Cipher = iota
	AES128GCM
	AES192GCM
	AES128CBC // GT4's
	AES192CBC
	AES256CBC
	TripleDESCBC
)

var Ciphers = []string{"aes256-gcm", "aes128-gcm", "aes192-gcm", "aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"}

func (c Cipher) String() string { return nameOf(Ciphers, int(c)) }

// CBC says whether somebody who changes the ciphertext changes the content unnoticed by the cipher.
func (c Cipher) CBC() bool { return c >= AES128CBC }

// KeyTransport is how the content's key is encrypted for its receiver.
type KeyTransport int

const (
	RSAOAEP       KeyTransport = iota // digest and MGF1 with SHA-1, which every stack knows
	RSAOAEPSHA256                     // digest and MGF1 with SHA-256
	RSA15                             // PKCS#1 v1.5, GT4's
)

var KeyTransports = []string{"rsa-oaep", "rsa-oaep-sha256", "rsa-1_5"}

func (k KeyTransport) String() string { return nameOf(KeyTransports, int(k)) }

// KeyReference is how a certificate is named.
type KeyReference int

const (
	ReferToken        KeyReference = iota // by a BinarySecurityToken that carries it
	ReferIssuerSerial                     // by its issuer's name and its serial number
	ReferSKI                              // by its SubjectKeyIdentifier
	ReferThumbprint                       // by its SHA-1 thumbprint
)

var KeyReferences = []string{"token", "issuer-serial", "ski", "thumbprint"}

func (k KeyReference) String() string { return nameOf(KeyReferences, int(k)) }

// Order is what comes first, signature or encryption.
type Order int

const (
	SignFirst    Order = iota // the signature covers the plaintext, and is encrypted with it
	EncryptFirst              // the signature covers the ciphertext
)

var Orders = []string{"sign-first", "encrypt-first"}

func (o Order) String() string { return nameOf(Orders, int(o)) }

// PasswordType is the form of a password in a username token.
type PasswordType int

const (
	PasswordDigest PasswordType = iota // SHA-1 over nonce, time and password; the service must know the password itself
	PasswordText                       // the password, which TLS alone protects
)

var PasswordTypes = []string{"digest", "text"}

func (p PasswordType) String() string { return nameOf(PasswordTypes, int(p)) }

// Confirmation is how a service knows that who sends an assertion may use it.
type Confirmation int

const (
	HolderOfKey  Confirmation = iota // the message is signed with the key that the assertion names
	Bearer                           // whoever has it may use it; TLS alone protects it
	SignedBearer                     // likewise, in a message that the caller's credential signs
)

var Confirmations = []string{"holder-of-key", "bearer", "signed-bearer"}

func (c Confirmation) String() string { return nameOf(Confirmations, int(c)) }

// IsBearer reports whether the assertion is of use to whoever reads it.
func (c Confirmation) IsBearer() bool { return c != HolderOfKey }

// checkProfile refuses what a message profile cannot do, or would do in the clear.
func checkProfile(r *Route) (errs []error) {
	no := func(field, text string) { errs = append(errs, &RouteError{r.Name, field, text}) }
	isNew := r.Message == MessageX509 || r.Message == MessageUsername || r.Message == MessageSAML
	switch {
	case r.For == StackGT4 && isNew:
		no("message", "GT4 does not know "+r.Message.String()+": leave for: gt4 out, or say gsi-message")
	case isNew && r.Signed() && r.Digest == SHA1:
		no("digest", "sha1 is for gsi-message, for GT4's sake: say sha256, sha384 or sha512")
	case r.For == StackGT4 && r.Digest != SHA1 && r.Digest != SHA256:
		no("digest", "GT4 knows sha1 and sha256 alone")
	}
	if r.Transport == TransportNone {
		switch {
		case r.Message == MessageUsername:
			no("message", "the password would travel in the clear: give an https target")
		case r.Message == MessageSAML && r.Confirmation.IsBearer():
			no("confirmation", "whoever reads a bearer's assertion can use it: give an https target")
		}
	}
	if r.Privacy && !r.Signed() {
		no("privacy", "it comes with a signature, and "+r.Message.String()+" makes none here: say gsi-message or wss-x509")
	}
	if r.Privacy && r.UnsignedAttachments {
		no("unsigned-attachments", "nothing encrypts attachments, and the route has privacy: leave one of the two out")
	}
	return errs
}
