package wssec

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"gsigw/soap"
	"gsigw/wssec/xmlenc"
)

// Decryption is what a verifier opens encrypted messages with. A zero number means the default in brackets.
//
// The order in the security header says what was done first (WS-Security 1.0, section 5): an encrypted key in front of
// the signature is opened before the signature is verified, one behind it opens what was digested. Either way what was
// decrypted must be signed. A key that does not open, padding, XML that is none, a digest over decrypted content that
// is another: all of that is one error of ClassDecrypt, after the same work, so that nobody can ask a verifier what a
// ciphertext holds (Bleichenbacher 1998, Vaudenay 2002, Jager and Somorovsky 2011). What can be told without the key has
// its own words.
type Decryption struct {
	Key          crypto.Decrypter    // RSA
	Certificates []*x509.Certificate // those of the key, by which senders name it; empty: every key that is sent is tried

	// CBC and RSA15 take what hides content from those only who cannot send it changed. A route that names them has
	// a peer that knows nothing better.
	CBC, RSA15 bool

	MaxKeys  int   // encrypted keys that are tried [4]
	MaxData  int   // EncryptedData elements [64]
	MaxBytes int64 // of ciphertext, and so of plaintext, which lies in memory, with a copy or two [32 MiB]
}

func (d *Decryption) maxKeys() int    { return cmp.Or(max(d.MaxKeys, 0), 4) }
func (d *Decryption) maxData() int    { return cmp.Or(max(d.MaxData, 0), 64) }
func (d *Decryption) maxBytes() int64 { return cmp.Or(max(d.MaxBytes, 0), 32<<20) }

// notDecrypted is the one error for everything that depends on a key or on what was decrypted.
func notDecrypted() *Error {
	return &Error{Class: ClassDecrypt, Msg: "the message does not decrypt to what was signed: the key, the ciphertext or what it holds is not right"}
}

// encryption is what a message says about its being encrypted, and what came of opening it.
type encryption struct {
	bodyElements int              // children of Body
	first, later []*encryptedData // to open before and after the signature is verified
	opened       []openedData     // of first
	failed       bool             // something that was opened before did not open
	proven       bool             // all that was opened before is what the signer signed
}

// encryptedKey is an EncryptedKey for us.
type encryptedKey struct {
	*xmlenc.Key
	at     int // among the children of the security header
	secret []byte
}

// unwrap opens the key, once.
func (k *encryptedKey) unwrap(d *Decryption, size int) []byte {
	if k.secret == nil {
		k.secret = k.Method.Unwrap(d.Key, k.Value, size)
	}
	return k.secret
}

// readEncryption finds out what is encrypted with which key, and refuses what everybody can see to be wrong.
func (v *verification) readEncryption() error {
	if v.Decrypt == nil {
		if v.expect.Encrypted || len(v.expect.Hidden) > 0 {
			return &Error{Class: ClassDecrypt, Msg: "the message must come encrypted, and the verifier has no key"}
		}
		return nil
	}
	data, err := v.findEncrypted(v.m, v.security)
	if err != nil {
		return err
	}
	if v.expect.Encrypted {
		if err := v.checkBodyEncrypted(data); err != nil {
			return err
		}
	}
	keys, others, err := v.readKeys()
	if err != nil {
		return err
	}
	if len(data) > 0 && len(keys) == 0 {
		if others > 0 {
			return &Error{Class: ClassDecrypt, Msg: fmt.Sprintf("the message is encrypted for somebody else: none of its %d encrypted keys names a certificate of ours", others)}
		}
		return &Error{Class: ClassDecrypt, Msg: "the message has encrypted data and no encrypted key for it"}
	}
	return v.assign(keys, data)
}

// maxOthers bounds the encrypted keys for others, each of which is held against every certificate of ours.
const maxOthers = 16

// readKeys reads the encrypted keys of the security header, and counts those for others.
func (v *verification) readKeys() (keys []*encryptedKey, others int, err error) {
	for i, n := range v.security.Children {
		if n.Name != encryptedKeyName {
			continue
		}
		key, err := xmlenc.ReadKey(n)
		if err != nil {
			return nil, 0, refused("EncryptedKey", err)
		}
		ours, err := v.isForUs(key)
		if err != nil {
			return nil, 0, err
		}
		if !ours {
			if others++; others > maxOthers {
				return nil, 0, &Error{Class: ClassLimit, Msg: fmt.Sprintf("the message exceeds the limit of %d encrypted keys for others", maxOthers)}
			}
			continue
		}
		if key.Method.PKCS1v15 && !v.Decrypt.RSA15 {
			return nil, 0, &Error{Class: ClassAlgorithm, Msg: "a key encrypted with rsa-1_5 is not allowed here; key-transport: rsa-1_5 on a route allows it"}
		}
		if len(keys) >= v.Decrypt.maxKeys() {
			return nil, 0, &Error{Class: ClassLimit, Msg: fmt.Sprintf("the message exceeds the limit of %d encrypted keys to try", v.Decrypt.maxKeys())}
		}
		keys = append(keys, &encryptedKey{Key: key, at: i})
	}
	return keys, others, nil
}

// refused gives an error of package xmlenc its class.
func refused(what string, err error) error {
	e := &Error{Class: ClassMalformed, Msg: "the message's " + what + " is refused", Err: err}
	switch {
	case errors.Is(err, xmlenc.ErrAlgorithm):
		e.Class = ClassAlgorithm
	case errors.Is(err, xmlenc.ErrLimit):
		e.Class = ClassLimit
	case errors.Is(err, xmlenc.ErrReference), errors.Is(err, xmlenc.ErrPlace):
		e.Class = ClassWrapped
	default:
		if c := ReadError(err); c.Class != ClassMalformed {
			return c
		}
	}
	return e
}

// assign gives every EncryptedData the one key that opens it, by the ReferenceList in the key or by one in the security
// header and the KeyInfo of the EncryptedData itself.
func (v *verification) assign(keys []*encryptedKey, data []*encryptedData) error {
	byID := map[string]*encryptedData{}
	for _, d := range data {
		byID[d.ID] = d
	}
	refer := func(uri string, at int, key func(*encryptedData) (*encryptedKey, error)) error {
		d, err := v.referencedData(uri, byID)
		if err != nil {
			return err
		}
		if d.key != nil {
			return malformed("two references are to the EncryptedData #%.80s", d.ID)
		}
		d.at = at
		d.key, err = key(d)
		return err
	}
	for _, k := range keys {
		for _, uri := range k.References {
			if err := refer(uri, k.at, func(*encryptedData) (*encryptedKey, error) { return k, nil }); err != nil {
				return err
			}
		}
	}
	for i, n := range v.security.Children {
		if n.Name != (soap.Name{Space: xmlenc.Space, Local: "ReferenceList"}) {
			continue
		}
		uris, err := xmlenc.ReadReferences(n)
		if err != nil {
			return refused("ReferenceList", err)
		}
		for _, uri := range uris {
			if err := refer(uri, i, func(d *encryptedData) (*encryptedKey, error) { return namedKey(keys, d) }); err != nil {
				return err
			}
		}
	}
	return v.order(keys, data)
}

func (v *verification) referencedData(uri string, byID map[string]*encryptedData) (*encryptedData, error) {
	id, ok := localID(uri)
	if !ok {
		return nil, &Error{Class: ClassWrapped, Msg: fmt.Sprintf("the DataReference %.80q is not to an element of this message by its id", uri)}
	}
	switch d, n := byID[id], v.m.CountID(id); {
	case n > 1:
		return nil, &Error{Class: ClassDuplicateID, Msg: fmt.Sprintf("%d elements have the id %.80s, which a DataReference names", n, id)}
	case d == nil:
		return nil, &Error{Class: ClassWrapped, Msg: fmt.Sprintf("the DataReference #%.80s leads to no EncryptedData", id)}
	default:
		return d, nil
	}
}

// namedKey finds the encrypted key that the KeyInfo of an EncryptedData refers to.
func namedKey(keys []*encryptedKey, d *encryptedData) (*encryptedKey, error) {
	if len(d.Keys) == 1 {
		if id, ok := localID(d.Keys[0]); ok {
			for _, k := range keys {
				if k.ID == id {
					return k, nil
				}
			}
		}
	}
	return nil, &Error{Class: ClassDecrypt, Msg: fmt.Sprintf("the EncryptedData #%.80s names no encrypted key for us", d.ID)}
}

// order refuses what no key of ours opens, and parts what comes before the signature from what comes behind it. Where the
// signature itself is hidden, all comes before.
func (v *verification) order(keys []*encryptedKey, data []*encryptedData) error {
	signature := slices.IndexFunc(v.security.Children, func(n *soap.Node) bool { return n.Name == soap.Name{Space: dsig, Local: "Signature"} })
	sizes := map[*encryptedKey]int{}
	for _, d := range data {
		switch {
		case d.key == nil:
			return &Error{Class: ClassDecrypt, Msg: fmt.Sprintf("no encrypted key for us refers to the EncryptedData #%.80s", d.ID)}
		case d.Cipher.CBC() && !v.Decrypt.CBC:
			return &Error{Class: ClassAlgorithm, Msg: fmt.Sprintf("content encrypted with %s is not allowed here; cipher: %[1]s on a route allows it", d.Cipher)}
		case sizes[d.key] != 0 && sizes[d.key] != d.Cipher.KeySize():
			return malformed("one encrypted key is for ciphers with keys of %d and of %d bytes", sizes[d.key], d.Cipher.KeySize())
		case len(d.Keys) > 0 && !slices.Contains(d.Keys, "#"+d.key.ID):
			return malformed("the EncryptedData #%.80s names another key than the one that refers to it", d.ID)
		}
		sizes[d.key] = d.Cipher.KeySize()
		if signature < 0 || d.at < signature {
			v.encrypted.first = append(v.encrypted.first, d)
			continue
		}
		if d.place == inSecurity {
			return malformed("the security header hides the EncryptedData #%.80s behind the signature, which cannot be verified without it", d.ID)
		}
		v.encrypted.later = append(v.encrypted.later, d)
	}
	for _, k := range keys {
		if sizes[k] == 0 {
			return malformed("an encrypted key for us opens nothing")
		}
	}
	return nil
}

// checkBodyEncrypted demands that Body holds nothing in the clear.
func (v *verification) checkBodyEncrypted(data []*encryptedData) error {
	n := 0
	for _, d := range data {
		if d.place == inBody && d.atTop {
			n++
		}
	}
	if n == 0 || n != v.encrypted.bodyElements {
		return &Error{Class: ClassDecrypt, Msg: "the content of Body did not come encrypted, and it must here"}
	}
	return nil
}
