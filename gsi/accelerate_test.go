package gsi_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

var acceleratedKey = sync.OnceValue(func() *rsa.PrivateKey { return gridtest.Must(rsa.GenerateKey(rand.Reader, 2048)) })

func digestFor(h crypto.Hash) []byte {
	if h == crypto.MD5SHA1 {
		a, b := md5.Sum([]byte("m")), sha1.Sum([]byte("m"))
		return append(a[:], b[:]...)
	}
	d := h.New()
	d.Write([]byte("m"))
	return d.Sum(nil)
}

func TestAccelerated_MakesTheKeysOwnSignatures(t *testing.T) {
	key := acceleratedKey()
	signer := gsi.Accelerated(key)
	for _, h := range []crypto.Hash{crypto.MD5, crypto.MD5SHA1, crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA224} {
		want := gridtest.Must(key.Sign(rand.Reader, digestFor(h), h))
		if have := gridtest.Must(signer.Sign(rand.Reader, digestFor(h), h)); !bytes.Equal(have, want) {
			t.Errorf("%v: another signature than crypto/rsa makes", h)
		}
	}
	bare := []byte("what is signed without a hash")
	want := gridtest.Must(key.Sign(rand.Reader, bare, crypto.Hash(0)))
	if have := gridtest.Must(signer.Sign(rand.Reader, bare, crypto.Hash(0))); !bytes.Equal(have, want) {
		t.Error("bare: another signature than crypto/rsa makes")
	}
}

func TestAccelerated_MakesPSSSignatures(t *testing.T) {
	signer := gsi.Accelerated(acceleratedKey())
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, rsa.PSSSaltLengthAuto, 11} {
			options := &rsa.PSSOptions{SaltLength: salt, Hash: h}
			signature := gridtest.Must(signer.Sign(rand.Reader, digestFor(h), options))
			if err := rsa.VerifyPSS(&acceleratedKey().PublicKey, h, digestFor(h), signature, options); err != nil {
				t.Errorf("%v, salt of %d: %v", h, salt, err)
			}
		}
	}
}

func TestAccelerated_RefusesWhatTheKeyRefuses(t *testing.T) {
	signer := gsi.Accelerated(acceleratedKey())
	_, want := acceleratedKey().Sign(rand.Reader, []byte("short"), crypto.SHA256)
	if _, err := signer.Sign(rand.Reader, []byte("short"), crypto.SHA256); err == nil || err.Error() != want.Error() {
		t.Errorf("a digest of another size: %v, want %v", err, want)
	}
}

func TestAccelerated_LeavesOtherKeysAlone(t *testing.T) {
	ec := gridtest.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	built := &rsa.PrivateKey{PublicKey: acceleratedKey().PublicKey, D: acceleratedKey().D, Primes: acceleratedKey().Primes}
	for _, key := range []crypto.Signer{ec, built} {
		if gsi.Accelerated(key) != key {
			t.Errorf("%T is not itself any more", key)
		}
	}
}

func TestAccelerated_KeyCanStillDecrypt(t *testing.T) {
	signer := gsi.Accelerated(acceleratedKey())
	sealed := gridtest.Must(rsa.EncryptOAEP(sha1.New(), rand.Reader, &acceleratedKey().PublicKey, []byte("secret"), nil))
	if plain := gridtest.Must(signer.(crypto.Decrypter).Decrypt(rand.Reader, sealed, &rsa.OAEPOptions{Hash: crypto.SHA1})); string(plain) != "secret" {
		t.Errorf("decrypted to %q", plain)
	}
}

func TestAccelerated_SignsTLS(t *testing.T) {
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		host := tls.Certificate{PrivateKey: gsi.Accelerated(pki.Host.Key), Certificate: [][]byte{pki.Host.Leaf().Raw}}
		client, server := net.Pipe()
		done := make(chan error)
		go func() {
			c := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{host}, MaxVersion: version})
			done <- c.Handshake()
		}()
		c := tls.Client(client, &tls.Config{InsecureSkipVerify: true, MaxVersion: version}) // the signature is checked in any case
		if err := c.Handshake(); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		client.Close()
		server.Close()
	}
}

func TestAccelerated_IsSafeForConcurrentUse(t *testing.T) {
	key := gridtest.Must(rsa.GenerateKey(rand.Reader, 1024))
	want := gridtest.Must(key.Sign(rand.Reader, digestFor(crypto.SHA1), crypto.SHA1))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if have, err := gsi.Accelerated(key).Sign(rand.Reader, digestFor(crypto.SHA1), crypto.SHA1); err != nil || !bytes.Equal(have, want) {
					t.Errorf("another signature: %v", err)
				}
			}
		})
	}
	group.Wait()
}

func TestAccelerated_SignerOutlivesItsKeysHolder(t *testing.T) {
	key := gridtest.Must(rsa.GenerateKey(rand.Reader, 1024))
	signer, public := gsi.Accelerated(key), &rsa.PublicKey{N: key.N, E: key.E}
	key = nil
	for range 3 {
		runtime.GC()
	}
	signature := gridtest.Must(signer.Sign(rand.Reader, digestFor(crypto.SHA256), crypto.SHA256))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digestFor(crypto.SHA256), signature); err != nil {
		t.Error(err)
	}
}

func TestAccelerated_ShowsNoKey(t *testing.T) {
	signer := gsi.Accelerated(acceleratedKey())
	if _, isGo := signer.(*rsa.PrivateKey); isGo {
		return // the default build: a key as it always was
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("signing", "key", signer)
	prime := acceleratedKey().Primes[0]
	for _, shown := range []string{fmt.Sprint(signer), fmt.Sprintf("%+v %#v %d %x", signer, signer, signer, signer), log.String()} {
		if strings.Contains(shown, prime.String()) || strings.Contains(shown, prime.Text(16)) {
			t.Errorf("the key is in %.80s", shown)
		}
	}
}

func BenchmarkAccelerated(b *testing.B) {
	for _, s := range []struct {
		name string
		key  func() crypto.Signer
	}{
		{"crypto-rsa", func() crypto.Signer { return acceleratedKey() }},
		{"accelerated", func() crypto.Signer { return gsi.Accelerated(acceleratedKey()) }},
	} {
		b.Run(s.name, func(b *testing.B) {
			digest := digestFor(crypto.SHA256)
			for b.Loop() {
				if _, err := s.key().Sign(rand.Reader, digest, crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
