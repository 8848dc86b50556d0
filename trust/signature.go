package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	_ "crypto/md5"
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	"crypto/x509"

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
	}
	return refuse(Algorithm, cert, "use RSA, or ECDSA on P-256, P-384 or P-521", "has a key of a kind that is not taken (%s)", cert.PublicKeyAlgorithm)
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
	if algorithm := cert.SignatureAlgorithm; !w.options.takes(algorithm) {
		remedy := "have it signed with RSA or ECDSA and SHA-256"
		if algorithm == x509.MD5WithRSA {
			remedy = "have it signed with SHA-256, or name MD5 in the trust profile"
		}
		return refuse(Algorithm, cert, remedy, "is signed with %s", algorithm)
	}
	if !verifies(issuer, cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) {
		return refuse(BadSignature, cert, "fetch or make it again", "was not signed by %s", gsi.OneLine(issuer.RawSubject))
	}
	return nil
}

func (o Options) takes(algorithm x509.SignatureAlgorithm) bool {
	switch algorithm {
	case x509.MD5WithRSA:
		return o.AllowMD5
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return !o.RefuseSHA1
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return true
	}
	return false
}

// verifies leaves to crypto/x509 what that takes, and does the rest.
func verifies(issuer *x509.Certificate, algorithm x509.SignatureAlgorithm, signed, signature []byte) bool {
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
