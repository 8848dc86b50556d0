//go:build openssl

package gsi

/*
#cgo LDFLAGS: -lcrypto
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

static EVP_PKEY *gsigw_key(const unsigned char *der, long size) {
	EVP_PKEY *key = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &der, size);
	if (key == NULL)
		ERR_clear_error();
	return key;
}

// gsigw_sign gives the length of the signature, 0 where libcrypto makes none.
static size_t gsigw_sign(EVP_PKEY *key, int padding, const EVP_MD *md, const unsigned char *digest, size_t digest_size,
		unsigned char *out, size_t size) {
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	int ok = ctx != NULL && EVP_PKEY_sign_init(ctx) > 0
		&& EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0
		&& EVP_PKEY_CTX_set_signature_md(ctx, md) > 0
		&& (padding != RSA_PKCS1_PSS_PADDING || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0)
		&& EVP_PKEY_sign(ctx, out, &size, digest, digest_size) > 0;
	if (!ok)
		ERR_clear_error(); // the queue is the thread's, and goroutines change threads
	EVP_PKEY_CTX_free(ctx);
	return ok ? size : 0;
}
*/
import "C"

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"unsafe"
	"weak"
)

// libcryptoKey signs in libcrypto. What libcrypto refuses or does not know (a hash that the machine's policy forbids,
// a PSS salt of another size than the hash's) the Go key signs, or refuses in its own words; decryption is Go's in any
// case.
//
// libcrypto blinds the operation, and checks what the Chinese remainder theorem gave by the public exponent before it
// lets it out (rsa_ossl_mod_exp): a fault in the computation does not give the key away.
type libcryptoKey struct {
	key  *rsa.PrivateKey // lives as long as pkey is used: its end frees pkey
	pkey *C.EVP_PKEY
}

// pkeys are the keys' forms in libcrypto: *C.EVP_PKEY by weak.Pointer[rsa.PrivateKey].
var pkeys sync.Map

// accelerated takes the keys that Go itself would sign with: two primes, and 1024 bits or more.
func accelerated(key crypto.Signer) crypto.Signer {
	k, ok := key.(*rsa.PrivateKey)
	if !ok || k == nil || k.N.BitLen() < 1024 || len(k.Primes) != 2 || k.Precomputed.Qinv == nil {
		return key
	}
	if pkey := pkeyOf(k); pkey != nil {
		return &libcryptoKey{k, pkey}
	}
	return key
}

func pkeyOf(k *rsa.PrivateKey) *C.EVP_PKEY {
	w := weak.Make(k)
	if pkey, ok := pkeys.Load(w); ok {
		return pkey.(*C.EVP_PKEY)
	}
	der := x509.MarshalPKCS1PrivateKey(k)
	defer clear(der)
	made := C.gsigw_key((*C.uchar)(&der[0]), C.long(len(der)))
	if made == nil {
		return nil
	}
	if pkey, ok := pkeys.LoadOrStore(w, made); ok { // another goroutine was first
		C.EVP_PKEY_free(made)
		return pkey.(*C.EVP_PKEY)
	}
	runtime.AddCleanup(k, freePKey, w)
	return made
}

func freePKey(w weak.Pointer[rsa.PrivateKey]) {
	if pkey, ok := pkeys.LoadAndDelete(w); ok {
		C.EVP_PKEY_free(pkey.(*C.EVP_PKEY)) // wipes the key
	}
}

func (k *libcryptoKey) Public() crypto.PublicKey { return k.key.Public() }

// Sign makes PKCS#1 v1.5 signatures, and those of PSS that TLS asks for.
func (k *libcryptoKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	padding, hash := C.int(C.RSA_PKCS1_PADDING), opts.HashFunc()
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		padding = C.RSA_PKCS1_PSS_PADDING
		if pss.SaltLength != rsa.PSSSaltLengthEqualsHash {
			return k.key.Sign(rand, digest, opts)
		}
	}
	md := digestMethod(hash)
	if md == nil || len(digest) != hash.Size() {
		return k.key.Sign(rand, digest, opts)
	}
	out := make([]byte, k.key.Size())
	n := C.gsigw_sign(k.pkey, padding, md, (*C.uchar)(unsafe.SliceData(digest)), C.size_t(len(digest)), (*C.uchar)(&out[0]), C.size_t(len(out)))
	runtime.KeepAlive(k.key)
	if int(n) != len(out) {
		return k.key.Sign(rand, digest, opts)
	}
	return out, nil
}

// Decrypt is for TLS 1.2 servers with RSA key exchange.
func (k *libcryptoKey) Decrypt(rand io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	return k.key.Decrypt(rand, ciphertext, opts)
}

// Format keeps the key out of every kind of print.
func (k *libcryptoKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, shownKey) }

// LogValue keeps the key out of structured logs.
func (k *libcryptoKey) LogValue() slog.Value { return slog.StringValue(shownKey) }

const shownKey = "an RSA key in libcrypto"

func digestMethod(h crypto.Hash) *C.EVP_MD {
	switch h {
	case crypto.MD5:
		return C.EVP_md5()
	case crypto.MD5SHA1:
		return C.EVP_md5_sha1()
	case crypto.SHA1:
		return C.EVP_sha1()
	case crypto.SHA256:
		return C.EVP_sha256()
	case crypto.SHA384:
		return C.EVP_sha384()
	case crypto.SHA512:
		return C.EVP_sha512()
	}
	return nil
}

func rsaSigner() string { return C.GoString(C.OpenSSL_version(C.OPENSSL_VERSION)) }
