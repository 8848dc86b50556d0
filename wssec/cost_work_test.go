package wssec_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"hash"
	"io"
	"maps"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
)

// work is what reading, verifying and rebuilding a message came to, counted where nothing else is in the way: every
// byte that goes into a hash, every byte that the scanner asks the message for, what the trust store is asked about,
// and the memory taken on the way. The bytes are counted on a message in pieces, the memory on one in memory.
type work struct {
	hashed, scanned, allocated int64
	certificates, rsaBits      int64
	opened                     int64 // by the private key
}

// bound is the most that a message may cost: at 800 MB/s for hashes and 200 MB/s for scans, and 1 ms for what is done
// with the certificates, 100 KB stay below 20 ms.
func bound(size int) work {
	n := int64(size)
	return work{
		hashed:       2*(16*n+32<<10) + 512<<10, // twice: SignedInfo and what it covers, and certificates
		scanned:      8*n + 512<<10,
		allocated:    32*n + 1<<20,
		certificates: 16,
		rsaBits:      16 * 8192,
		opened:       4,
	}
}

func (w work) check(t testing.TB, size int) {
	t.Helper()
	most := bound(size)
	for _, c := range []struct {
		what       string
		got, bound int64
	}{
		{"bytes hashed", w.hashed, most.hashed}, {"bytes scanned", w.scanned, most.scanned},
		{"bytes allocated", w.allocated, most.allocated}, {"certificates", w.certificates, most.certificates},
		{"bits of RSA", w.rsaBits, most.rsaBits},
		{"uses of the private key", w.opened, most.opened},
	} {
		if c.got > c.bound {
			t.Errorf("%d bytes cost %d %s; the bound is %d", size, c.got, c.what, c.bound)
		}
	}
}

// hashed counts what every hash of the crypto package gets while a test runs.
var hashed atomic.Int64

type countingHash struct{ hash.Hash }

func (c countingHash) Write(b []byte) (int, error) {
	hashed.Add(int64(len(b)))
	return c.Hash.Write(b)
}

func countHashes(t testing.TB) {
	for h, make := range map[crypto.Hash]func() hash.Hash{
		crypto.SHA1: sha1.New, crypto.SHA256: sha256.New, crypto.SHA384: sha512.New384, crypto.SHA512: sha512.New,
	} {
		crypto.RegisterHash(h, func() hash.Hash { return countingHash{make()} })
		t.Cleanup(func() { crypto.RegisterHash(h, make) })
	}
}

// countingSource is a message that lies in no memory, so that nothing is read uncounted.
type countingSource struct {
	xmlscan.Memory
	read int64
}

func (c *countingSource) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.Memory.ReadAt(b, off)
	c.read += int64(n)
	return n, err
}

// countingTrust counts the certificates that it is asked about, and the bits of their keys.
type countingTrust struct {
	Trust
	work *work
}

func (c countingTrust) Verify(chain []*x509.Certificate, at time.Time) (*gsi.Identity, error) {
	for _, cert := range chain {
		c.work.certificates++
		if k, ok := cert.PublicKey.(*rsa.PublicKey); ok {
			c.work.rsaBits += int64(k.N.BitLen())
		}
	}
	return c.Trust.Verify(chain, at)
}

// workOf does with a message all that a receiver does.
func workOf(v *Verifier, doc []byte) (w work, err error) {
	counted := *v
	counted.Trust = countingTrust{v.Trust, &w}
	used := 0
	if v.Decrypt != nil {
		d := *v.Decrypt
		d.Key = countingKey{d.Key, &used}
		counted.Decrypt = &d
	}
	src := &countingSource{Memory: doc}
	before := hashed.Load()
	err = takeIn(&counted, src)
	w.hashed, w.scanned, w.opened = hashed.Load()-before, src.read, int64(used)
	w.allocated = min(allocated(v, doc), allocated(v, doc)) // a pool of buffers may just have been emptied
	return w, err
}

func allocated(v *Verifier, doc []byte) int64 {
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	takeIn(v, xmlscan.Memory(doc))
	runtime.ReadMemStats(&end)
	return int64(end.TotalAlloc - start.TotalAlloc)
}

func takeIn(v *Verifier, src xmlscan.Source) error {
	m, err := soap.Read(src, soap.Limits{})
	if err != nil {
		return ReadError(err)
	}
	verified, err := v.Verify(context.Background(), m, Expect{})
	if err != nil {
		return err
	}
	_, err = verified.Message(nil)
	return err
}

func TestVerify_CostsNoMoreWorkThanItsBytesAreWorth(t *testing.T) {
	countHashes(t)
	g := newGrid(t)
	docs := costly(t, g)
	docs["an ordinary one"] = secure(t, &GSIMessage{}, strings.Replace(plainRequest, "5 &amp;", strings.Repeat("5 ", costSize/2), 1), g.User)
	for _, doc := range docs {
		w, _ := workOf(g.verifier, []byte(doc))
		w.check(t, len(doc))
	}
	maps.Copy(docs, costlyEncryption(t, g))
	for name, doc := range docs {
		w, err := workOf(g.opener(g.Host), []byte(doc))
		w.check(t, len(doc))
		t.Logf("%-40s %6d bytes: %+v; %.60v", name, len(doc), w, err)
		if name == "an ordinary one" && (err != nil || w.hashed < costSize || w.scanned < costSize || w.certificates != 1 || w.rsaBits != 2048) {
			t.Errorf("the counting does not count: %+v, %v", w, err)
		}
	}
}

// FuzzCost looks for a message that costs more than its bytes are worth, from a signer that is trusted: declarations on
// the envelope, header blocks and the content of Body are the fuzzer's.
func FuzzCost(f *testing.F) {
	countHashes(f)
	g := newGrid(f)
	signer := g.ECUser
	f.Add(`xmlns:a="urn:a"`, `<a:b xmlns:c="urn:c"/>`, `<a:d xsi:type="a:t" xmlns:xsi="urn:xsi">a:b<!-- --></a:d>`, uint16(100))
	f.Add(``, ``, `<a xmlns="urn:long"/>`, uint16(1000))
	f.Add(`xmlns:p="urn:p"`, `<p:k/>`, `p: p: &#58;<![CDATA[:]]>`, uint16(500))
	f.Fuzz(func(t *testing.T, decls, header, body string, times uint16) {
		times = min(times, uint16(1+costSize/max(1, len(body))))
		doc := strings.NewReplacer("<soapenv:Envelope ", "<soapenv:Envelope "+decls+" ", "</soapenv:Header>", header+"</soapenv:Header>",
			"5 &amp;", strings.Repeat(body, int(times))).Replace(plainRequest)
		m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{})
		if err != nil {
			w, _ := workOf(g.verifier, []byte(doc))
			w.check(t, len(doc))
			return
		}
		edit, _, err := (&GSIMessage{}).Secure(t.Context(), m, signer)
		if err != nil {
			return
		}
		signed := must(io.ReadAll(edit.Reader()))
		w, err := workOf(g.verifier, signed)
		w.check(t, len(signed))
		if t.Failed() {
			t.Log(err)
		}
	})
}

// countingKey counts what the private key is asked for.
type countingKey struct {
	crypto.Decrypter
	used *int
}

func (c countingKey) Decrypt(rand io.Reader, b []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	*c.used++
	return c.Decrypter.Decrypt(rand, b, opts)
}

func TestVerify_UsesThePrivateKeyFewTimes(t *testing.T) {
	doc := string(must(os.ReadFile("testdata/gt4/03-msg-enc.02-addRequest.request.xml")))
	key := cut(doc, "xenc:EncryptedKey")
	for _, keys := range []int{1, 4, 5, 100} {
		v := gt4Decrypter(t, []byte(doc), Request)
		used := 0
		v.Decrypt.Key = countingKey{v.Decrypt.Key, &used}
		copies := strings.Replace(doc, key, strings.Repeat(key, keys), 1)
		_, err := verifyBytes(v, []byte(copies), Expect{})
		if used > 4 || keys == 1 && (used == 0 || err != nil) || keys > 1 && err == nil {
			t.Errorf("%d encrypted keys: the private key was used %d times; %v", keys, used, err)
		}
	}
}
