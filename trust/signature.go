package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	_ "crypto/md5"
	"crypto/rsa"
	_ "crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"gsigw/gsi"
)

// checkSizes bounds the work before any of it is done.
func (w *walk) checkSizes(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return refuse(Malformed, nil, "send a certificate", "the chain is empty")
	}
	if len(chain) > w.options.maxCertificates() {
		return w.tooMany()
	}
	for _, cert := range chain {
		if cert == nil {
			return refuse(Malformed, nil, "send whole certificates", "the chain has a hole")
		}
		if err := w.checkKey(cert); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) tooMany() error {
	return refuse(TooLarge, nil, "shorten it, or raise the limit", "the chain has more than %d certificates", w.options.maxCertificates())
}

func (w *walk) checkKey(cert *x509.Certificate) error {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return w.checkRSA(cert, key.N.BitLen())
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
	case ed25519.PublicKey:
		return nil
	}
	return refuse(Algorithm, cert, "use RSA, ECDSA on P-256, P-384 or P-521, or Ed25519", "has a key of a kind that is not taken (%s)", cert.PublicKeyAlgorithm)
}

func (w *walk) checkRSA(cert *x509.Certificate, bits int) error {
	least := 1024
	if w.options.AllowRSA512 {
		least = 512
	}
	if bits < least {
		return refuse(Algorithm, cert, "use a key of 2048 bits", "has an RSA key of %d bits; %d is the least", bits, least)
	}
	if most := w.options.maxRSABits(); bits > most {
		return refuse(TooLarge, cert, "use a smaller key, or raise the limit", "has an RSA key of %d bits; %d is the most", bits, most)
	}
	return nil
}

// checkSignature verifies the issuer's signature over a certificate. It takes
// SHA-2 and SHA-1, and MD5 and short RSA keys only where the options name them.
func (w *walk) checkSignature(cert, issuer *x509.Certificate) error {
	if err := w.checkKey(issuer); err != nil {
		return err
	}
	algorithm := algorithmOf(cert.SignatureAlgorithm, cert.Raw)
	if !w.options.takes(algorithm) {
		return refuseAlgorithm(cert, algorithm)
	}
	if !verifies(issuer, algorithm, cert.RawTBSCertificate, cert.Signature) {
		return refuse(BadSignature, cert, "fetch or make it again", "was not signed by %s", gsi.OneLine(issuer.RawSubject))
	}
	return nil
}

func refuseAlgorithm(cert *x509.Certificate, algorithm x509.SignatureAlgorithm) error {
	remedy, name := "have it signed with RSA or ECDSA and SHA-256", algorithm.String()
	switch algorithm {
	case x509.MD5WithRSA:
		remedy = "have it signed with SHA-256, or name MD5 in the trust profile"
	case x509.UnknownSignatureAlgorithm:
		name = "an algorithm that is not known here"
	}
	return refuse(Algorithm, cert, remedy, "is signed with %s", name)
}

// SHA-224, which crypto/x509 does not know; all grid tools do.
const (
	sha224WithRSA   x509.SignatureAlgorithm = -1
	ecdsaWithSHA224 x509.SignatureAlgorithm = -2
)

var (
	oidSHA224WithRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 14} // RFC 4055, section 5
	oidECDSAWithSHA224 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 1}   // RFC 5758, section 3.2
)

// algorithmOf names what a certificate or revocation list is signed with, when crypto/x509 does not.
func algorithmOf(known x509.SignatureAlgorithm, der []byte) x509.SignatureAlgorithm {
	if known != x509.UnknownSignatureAlgorithm {
		return known
	}
	var signed struct {
		Content   asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	_, err := asn1.Unmarshal(der, &signed)
	switch oid := signed.Algorithm.Algorithm; {
	case err != nil:
	case oid.Equal(oidSHA224WithRSA):
		return sha224WithRSA
	case oid.Equal(oidECDSAWithSHA224):
		return ecdsaWithSHA224
	}
	return known
}

func (o Options) takes(algorithm x509.SignatureAlgorithm) bool {
	switch algorithm {
	case x509.MD5WithRSA:
		return o.AllowMD5
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return !o.RefuseSHA1
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, sha224WithRSA, ecdsaWithSHA224,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return true
	}
	return false
}

// verifies leaves to crypto/x509 what that takes, and does the rest.
func verifies(issuer *x509.Certificate, algorithm x509.SignatureAlgorithm, signed, signature []byte) bool {
	if algorithm == sha224WithRSA || algorithm == ecdsaWithSHA224 {
		return verifiesSHA224(issuer, algorithm, signed, signature)
	}
	key, ok := issuer.PublicKey.(*rsa.PublicKey)
	if !ok || (key.N.BitLen() >= 1024 && algorithm != x509.MD5WithRSA) {
		return issuer.CheckSignature(algorithm, signed, signature) == nil
	}
	hash, ok := map[x509.SignatureAlgorithm]crypto.Hash{
		x509.MD5WithRSA: crypto.MD5, x509.SHA1WithRSA: crypto.SHA1, x509.SHA256WithRSA: crypto.SHA256,
	}[algorithm]
	if !ok {
		return false
	}
	h := hash.New()
	h.Write(signed)
	return gsi.VerifyLegacyRSA(key, hash, h.Sum(nil), signature) == nil
}

func verifiesSHA224(issuer *x509.Certificate, algorithm x509.SignatureAlgorithm, signed, signature []byte) bool {
	digest := sha256.Sum224(signed)
	switch key := issuer.PublicKey.(type) {
	case *rsa.PublicKey:
		return algorithm == sha224WithRSA && rsa.VerifyPKCS1v15(key, crypto.SHA224, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		return algorithm == ecdsaWithSHA224 && ecdsa.VerifyASN1(key, digest[:], signature)
	}
	return false
}
