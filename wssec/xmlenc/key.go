package xmlenc

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"

	"gsigw/soap"
)

// Key is an EncryptedKey element (XML Encryption 1.1, section 3.5).
type Key struct {
	ID         string
	Method     KeyMethod
	KeyInfo    *soap.Node // whose key opens it; nil where nothing says so
	Value      []byte
	References []string // URIs of the DataReferences
}

// ReadKey reads an EncryptedKey. Its children stand in the schema's order.
func ReadKey(n *soap.Node) (*Key, error) {
	k := &Key{ID: n.Attr("", "Id")}
	rest := n.Children
	next := func(space, local string) *soap.Node {
		if len(rest) == 0 || rest[0].Name != (soap.Name{Space: space, Local: local}) {
			return nil
		}
		found := rest[0]
		rest = rest[1:]
		return found
	}
	method := next(Space, "EncryptionMethod")
	if method == nil {
		return nil, errors.New("xmlenc: EncryptedKey does not begin with an EncryptionMethod")
	}
	var err error
	if k.Method, err = readMethod(method); err != nil {
		return nil, err
	}
	k.KeyInfo = next(dsig, "KeyInfo")
	if k.Value, err = readValue(next(Space, "CipherData")); err != nil {
		return nil, err
	}
	if list := next(Space, "ReferenceList"); list != nil {
		if k.References, err = ReadReferences(list); err != nil {
			return nil, err
		}
	}
	next(Space, "CarriedKeyName")
	if len(rest) > 0 {
		return nil, fmt.Errorf("xmlenc: EncryptedKey holds %s, which is not understood there", rest[0].Name)
	}
	return k, nil
}

func readValue(data *soap.Node) ([]byte, error) {
	switch {
	case data == nil || len(data.Children) != 1:
		return nil, errors.New("xmlenc: EncryptedKey must hold one CipherData with one CipherValue")
	case data.Children[0].Name == soap.Name{Space: Space, Local: "CipherReference"}:
		return nil, ErrReference
	case data.Children[0].Name != soap.Name{Space: Space, Local: "CipherValue"} || len(data.Children[0].Children) > 0:
		return nil, errors.New("xmlenc: EncryptedKey must hold one CipherData with one CipherValue")
	}
	var d decoder
	if err := d.write([]byte(data.Children[0].Text)); err != nil {
		return nil, err
	}
	return d.finish()
}

// ReadReferences gives the URIs in a ReferenceList. A KeyReference, to an encrypted key, is an error: keys that open keys
// are not understood.
func ReadReferences(list *soap.Node) ([]string, error) {
	var uris []string
	for _, n := range list.Children {
		if n.Name != (soap.Name{Space: Space, Local: "DataReference"}) || len(n.Children) > 0 {
			return nil, fmt.Errorf("xmlenc: ReferenceList holds %s, which is not understood: only a DataReference without content is", n.Name)
		}
		uris = append(uris, n.Attr("", "URI"))
	}
	return uris, nil
}

// The algorithm identifiers of key transport and of what it is made with.
const (
	uriOAEP11  = Space11 + "rsa-oaep"
	uriOAEP    = Space + "rsa-oaep-mgf1p"
	uriRSA15   = Space + "rsa-1_5"
	uriSHA1    = dsig + "sha1"
	uriMGFSHA1 = Space11 + "mgf1sha1"
	uriMGF256  = Space11 + "mgf1sha256"
)

var digests = map[string]crypto.Hash{
	uriSHA1:          crypto.SHA1,
	Space + "sha256": crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	Space + "sha384": crypto.SHA384, // as XML Encryption 1.1, section 5.8.4 has it
	Space + "sha512": crypto.SHA512,
}

var mgfs = map[string]crypto.Hash{
	uriMGFSHA1:             crypto.SHA1,
	uriMGF256:              crypto.SHA256,
	Space11 + "mgf1sha384": crypto.SHA384,
	Space11 + "mgf1sha512": crypto.SHA512,
}

// readMethod reads the EncryptionMethod of a key. Digest and MGF1 are SHA-1 where nothing else is said; with
// rsa-oaep-mgf1p, MGF1 is SHA-1 whatever the digest is, as Santuario writes it.
func readMethod(n *soap.Node) (KeyMethod, error) {
	uri := n.Attr("", "Algorithm")
	switch uri {
	case uriRSA15:
		if len(n.Children) > 0 {
			return KeyMethod{}, errors.New("xmlenc: rsa-1_5 has no parameters")
		}
		return KeyMethod{PKCS1v15: true}, nil
	case uriOAEP, uriOAEP11:
	default:
		return KeyMethod{}, fmt.Errorf("%w: a key encrypted with %.100q", ErrAlgorithm, uri)
	}
	m := KeyMethod{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	seen := map[soap.Name]bool{}
	for _, c := range n.Children {
		if seen[c.Name] || len(c.Children) > 0 {
			return m, fmt.Errorf("xmlenc: the EncryptionMethod has %s twice, or with content", c.Name)
		}
		seen[c.Name] = true
		if err := m.parameter(c, uri == uriOAEP11); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *KeyMethod) parameter(n *soap.Node, oaep11 bool) error {
	var ok bool
	switch uri := n.Attr("", "Algorithm"); {
	case n.Name == soap.Name{Space: dsig, Local: "DigestMethod"}:
		if m.Hash, ok = digests[uri]; !ok {
			return fmt.Errorf("%w: OAEP with the digest %.100q", ErrAlgorithm, uri)
		}
	case n.Name == soap.Name{Space: Space11, Local: "MGF"} && oaep11:
		if m.MGFHash, ok = mgfs[uri]; !ok {
			return fmt.Errorf("%w: OAEP with the mask %.100q", ErrAlgorithm, uri)
		}
	case n.Name == soap.Name{Space: Space, Local: "OAEPparams"}:
		label, err := base64.StdEncoding.DecodeString(n.TrimmedText())
		if err != nil {
			return errors.New("xmlenc: OAEPparams is not base64")
		}
		m.Label = label
	default:
		return fmt.Errorf("xmlenc: the EncryptionMethod has %s, which is not understood", n.Name)
	}
	return nil
}

// AppendKey writes an EncryptedKey that declares its own namespaces. keyInfo is the content of its KeyInfo; the
// references are ids, and so is its own, which may be empty. Ids must need no escapes.
func AppendKey(dst []byte, id string, k KeyTransport, keyInfo string, value []byte, references []string) []byte {
	if id != "" {
		id = ` Id="` + id + `"`
	}
	dst = fmt.Appendf(dst, `<xenc:EncryptedKey xmlns:xenc="%s"%s><xenc:EncryptionMethod Algorithm="%s">%s</xenc:EncryptionMethod>`+
		`<ds:KeyInfo xmlns:ds="%s">%s</ds:KeyInfo><xenc:CipherData><xenc:CipherValue>`, Space, id, k.URI(), k.parameters(), dsig, keyInfo)
	dst = base64.StdEncoding.AppendEncode(dst, value)
	dst = append(dst, "</xenc:CipherValue></xenc:CipherData><xenc:ReferenceList>"...)
	for _, id := range references {
		dst = fmt.Appendf(dst, `<xenc:DataReference URI="#%s"></xenc:DataReference>`, id)
	}
	return append(dst, "</xenc:ReferenceList></xenc:EncryptedKey>"...)
}

// URI is the algorithm identifier.
func (k KeyTransport) URI() string {
	switch k {
	case RSA15:
		return uriRSA15
	case RSAOAEPSHA256:
		return uriOAEP11
	}
	return uriOAEP
}

// parameters are written where an older reader would assume others (SHA-1).
func (k KeyTransport) parameters() string {
	if k != RSAOAEPSHA256 {
		return ""
	}
	return fmt.Sprintf(`<ds:DigestMethod xmlns:ds="%s" Algorithm="%ssha256"></ds:DigestMethod><xenc11:MGF xmlns:xenc11="%s" Algorithm="%s"></xenc11:MGF>`,
		dsig, Space, Space11, uriMGF256)
}
