package gsi

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

const sesame = "open-sesame"

func says(pass string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(pass), nil }
}

// lockedBlock reads a key that OpenSSL locked.
func lockedBlock(t testing.TB, name string) *pem.Block {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/locked", name))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := pemBlocks(data)
	if err != nil {
		t.Fatal(err)
	}
	return blocks[0]
}

func TestParseKey_OpensWhatOpenSSLLocks(t *testing.T) {
	clear := map[bool]crypto.Signer{}
	for isRSA, name := range map[bool]string{true: "rsa.pem", false: "ec.pem"} {
		key, err := parseKey(lockedBlock(t, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		clear[isRSA] = key
	}
	for _, name := range []string{
		"dek-des3-rsa.pem", "dek-aes256-rsa.pem", "dek-aes128-ec.pem", "pkcs8-des3-rsa.pem",
		"pkcs8-aes128.pem", "pkcs8-aes192.pem", "pkcs8-scrypt.pem", "pkcs8-aes256-sha1.pem",
		"pkcs8-aes256-sha224.pem", "pkcs8-aes256-sha256.pem", "pkcs8-aes256-sha384.pem", "pkcs8-aes256-sha512.pem",
	} {
		block := lockedBlock(t, name)
		key, err := parseKey(block, says(sesame))
		if err != nil || !samePublicKey(key.Public(), clear[strings.Contains(name, "rsa")].Public()) {
			t.Errorf("%s: %v", name, err)
		}
		for _, wrong := range []string{"open-barley", ""} {
			if _, err := parseKey(block, says(wrong)); !errors.Is(err, ErrPassphrase) || strings.Contains(err.Error(), "barley") {
				t.Errorf("%s, passphrase %q: %v", name, wrong, err)
			}
		}
		if _, err := parseKey(block, nil); !errors.Is(err, ErrEncryptedKey) {
			t.Errorf("%s, nobody to ask: %v", name, err)
		}
		hungUp := errors.New("the terminal has gone")
		if _, err := parseKey(block, func() ([]byte, error) { return nil, hungUp }); !errors.Is(err, hungUp) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// relocked is the lock of a file, changed.
func relocked(t *testing.T, name string, change func(*encryptedKey, *pbes2Params)) *pem.Block {
	t.Helper()
	var info encryptedKey
	var params pbes2Params
	if !whole(lockedBlock(t, name).Bytes, &info) || !whole(info.Algorithm.Parameters.FullBytes, &params) {
		t.Fatal("testdata does not parse")
	}
	info.Algorithm.Parameters.FullBytes = nil
	change(&info, &params)
	if info.Algorithm.Parameters.FullBytes == nil {
		der, err := asn1.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		info.Algorithm.Parameters = asn1.RawValue{FullBytes: der}
	}
	der, err := asn1.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}
}

func algorithm(t *testing.T, oid asn1.ObjectIdentifier, params any) pkix.AlgorithmIdentifier {
	t.Helper()
	a, err := identifier(oid, params)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestParseKey_RefusesLocksThatAreHostileOrUnknown(t *testing.T) {
	salt := []byte("12345678")
	kdf := func(oid asn1.ObjectIdentifier, params any) *pem.Block {
		return relocked(t, "pkcs8-aes256-sha256.pem", func(_ *encryptedKey, p *pbes2Params) { p.KDF = algorithm(t, oid, params) })
	}
	iv := func(iv any) *pem.Block {
		return relocked(t, "pkcs8-aes256-sha256.pem", func(_ *encryptedKey, p *pbes2Params) { p.Cipher = algorithm(t, p.Cipher.Algorithm, iv) })
	}
	data := func(n int) *pem.Block {
		return relocked(t, "pkcs8-aes256-sha256.pem", func(k *encryptedKey, _ *pbes2Params) { k.Data = k.Data[:n] })
	}
	whatever := asn1.ObjectIdentifier{1, 2, 3}
	for name, test := range map[string]struct {
		block *pem.Block
		word  string
	}{
		"PBES1":                      {lockedBlock(t, "pkcs8-pbes1.pem"), "not by PBES2"},
		"six million iterations":     {lockedBlock(t, "pkcs8-costly.pem"), "6000000 iterations"},
		"no iterations":              {kdf(oidPBKDF2, pbkdf2Params{Salt: salt}), "not proper"},
		"a negative count":           {kdf(oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: -1}), "not proper"},
		"a count of 100 bits":        {kdf(oidPBKDF2, []asn1.RawValue{{Tag: 4, Bytes: salt}, {Tag: 2, Bytes: bytes.Repeat([]byte{1}, 13)}}), "not proper"},
		"a key too short":            {kdf(oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: 1, KeyLength: 8}), "not proper"},
		"an HMAC of MD5":             {kdf(oidPBKDF2, pbkdf2Params{Salt: salt, Iterations: 1, PRF: pkix.AlgorithmIdentifier{Algorithm: whatever}}), "HMAC"},
		"scrypt with much memory":    {kdf(oidScrypt, scryptParams{Salt: salt, N: 1 << 17, R: 8, P: 1}), "64 MiB"},
		"scrypt with large blocks":   {kdf(oidScrypt, scryptParams{Salt: salt, N: 2, R: 1 << 40, P: 1}), "64 MiB"},
		"scrypt with a huge N":       {kdf(oidScrypt, scryptParams{Salt: salt, N: 1 << 62, R: 1, P: 1}), "64 MiB"},
		"scrypt with many lanes":     {kdf(oidScrypt, scryptParams{Salt: salt, N: 2, R: 1, P: 1 << 20}), "64 MiB"},
		"scrypt, N no power of 2":    {kdf(oidScrypt, scryptParams{Salt: salt, N: 3, R: 1, P: 1}), "not proper"},
		"scrypt without lanes":       {kdf(oidScrypt, scryptParams{Salt: salt, N: 2, R: 1}), "not proper"},
		"another derivation":         {kdf(whatever, 1), "not by PBKDF2 or scrypt"},
		"another cipher":             {relocked(t, "pkcs8-aes128.pem", func(_ *encryptedKey, p *pbes2Params) { p.Cipher.Algorithm = whatever }), "cipher 1.2.3"},
		"a short start vector":       {iv([]byte("short")), "start vector"},
		"no start vector":            {iv(7), "start vector"},
		"no data":                    {data(0), "cut off"},
		"half a block of data":       {data(24), "cut off"},
		"parameters of another kind": {relocked(t, "pkcs8-aes128.pem", func(k *encryptedKey, _ *pbes2Params) { k.Algorithm.Parameters.FullBytes = []byte{5, 0} }), "do not parse"},
		"no DER":                     {&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}, "does not parse"},
		"a cipher that PEM has not":  {&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "ROT13,00"}, Bytes: []byte{1}}, "DEK-Info"},
	} {
		start := time.Now()
		_, err := parseKey(test.block, says(sesame))
		if err == nil || !strings.Contains(err.Error(), test.word) || !strings.Contains(err.Error(), "openssl pkcs8") {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

// One in 256 wrong passphrases leaves a padding that seems right, and then no key.
func TestParseKey_AKeyThatIsNoneAfterUnlockingIsAWrongPassphrase(t *testing.T) {
	der, err := lockPKCS8([]byte("no key"), []byte(sesame), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseKey(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}, says(sesame)); !errors.Is(err, ErrPassphrase) {
		t.Error(err)
	}
}

func TestMarshalEncryptedKey_IsReadBackWithItsPassphrase(t *testing.T) {
	for _, name := range []string{"rsa.pem", "ec.pem"} {
		key, err := parseKey(lockedBlock(t, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		locked, err := MarshalEncryptedKey(key, []byte(sesame))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(locked)
		if again, err := parseKey(block, says(sesame)); err != nil || !samePublicKey(again.Public(), key.Public()) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := MarshalEncryptedKey(key, nil); err == nil {
			t.Errorf("%s: locked with nothing", name)
		}
	}
	if _, err := MarshalEncryptedKey(struct{ crypto.Signer }{}, []byte(sesame)); err == nil {
		t.Error("a key that lives elsewhere is written")
	}
}

func TestMarshalKey_WritesWhatGridToolsRead(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[string]crypto.Signer{"RSA PRIVATE KEY": rsaKey, "PRIVATE KEY": ecKey} {
		data, err := MarshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		again, err := parseKey(block, nil)
		if err != nil || block.Type != want || !samePublicKey(again.Public(), key.Public()) {
			t.Errorf("%s: a %s, %v", want, block.Type, err)
		}
	}
}

func TestFile_AsksOnceAndOnlyForWhatIsLocked(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	dir := t.TempDir()
	der, err := marshalPKCS8(u.Key)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = lockPKCS8(der, []byte(sesame), 1); err != nil {
		t.Fatal(err)
	}
	locked := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
	p12, err := pkcs12.Modern.Encode(u.Key, u.Leaf(), nil, sesame)
	if err != nil {
		t.Fatal(err)
	}
	cert := writeFile(t, filepath.Join(dir, "cert"), certPEM(u.Chain...), 0o644)
	inClear := writeFile(t, filepath.Join(dir, "clear"), keyPEM(t, u), 0o600)
	key := writeFile(t, filepath.Join(dir, "key"), locked, 0o400)
	both := writeFile(t, filepath.Join(dir, "both"), append(certPEM(u.Chain...), locked...), 0o600)
	bundle := writeFile(t, filepath.Join(dir, "p12"), p12, 0o600)
	var asked []string
	pass := sesame
	o := FileOptions{Now: clock(noon), Passphrase: func(file string) ([]byte, error) {
		asked = append(asked, file)
		return []byte(pass), nil
	}}
	for name, test := range map[string]struct {
		open func(FileOptions) *File
		file string
	}{
		"in clear": {func(o FileOptions) *File { return PairFile(cert, inClear, o) }, ""},
		"pair":     {func(o FileOptions) *File { return PairFile(cert, key, o) }, key},
		"one file": {func(o FileOptions) *File { return ProxyFile(both, o) }, both},
		"PKCS#12":  {func(o FileOptions) *File { return PKCS12File(bundle, "", o) }, bundle},
	} {
		asked, pass = nil, sesame
		f := test.open(o)
		for range 2 { // the second time nothing has changed
			if _, err := f.Credential(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := strings.Join(asked, " "); got != test.file {
			t.Errorf("%s: asked for %q, want %q", name, got, test.file)
		}
		if test.file == "" {
			continue
		}
		pass = "open-barley"
		if _, err := test.open(o).Credential(t.Context()); !errors.Is(err, ErrPassphrase) || strings.Contains(err.Error(), "barley") || !strings.Contains(err.Error(), test.file) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := test.open(FileOptions{Now: clock(noon)}).Credential(t.Context()); !errors.Is(err, ErrEncryptedKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParsePKCS12_RefusesACostlyFile(t *testing.T) {
	u := user(t, "Jane", noon.AddDate(1, 0, 0))
	data, err := pkcs12.Modern.WithIterations(123_456).Encode(u.Key, u.Leaf(), nil, sesame)
	if err != nil {
		t.Fatal(err)
	}
	count, err := asn1.Marshal(123_456)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, count); n != 3 { // of the MAC, the certificates and the key
		t.Fatal("seen", n)
	}
	if _, err := ParsePKCS12(data, []byte(sesame)); err != nil {
		t.Error(err)
	}
	huge := []byte{2, 3, 0x7f, 0xff, 0xff}
	for at := range data {
		if !bytes.HasPrefix(data[at:], count) {
			continue
		}
		hostile := bytes.Clone(data)
		copy(hostile[at:], huge)
		if _, err := ParsePKCS12(hostile, []byte(sesame)); err == nil || !strings.Contains(err.Error(), "8388607 iterations") {
			t.Errorf("at byte %d: %v", at, err)
		}
	}
}

func FuzzParsePEM(f *testing.F) {
	for _, pattern := range []string{"testdata/gt4/*.pem", "testdata/locked/*.pem"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, sesame)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, pass string) {
		blocks, _ := pemBlocks(data)
		for _, block := range blocks {
			if iterationsOf(block.Bytes, 32).Cmp(big.NewInt(20_000)) > 0 {
				return // what is bounded still takes its time
			}
		}
		c, err := ParsePEMWith(data, says(pass))
		if err != nil {
			if len(pass) > 6 && strings.Contains(err.Error(), pass) && !bytes.Contains(data, []byte(pass)) {
				t.Errorf("the passphrase is in %q", err)
			}
			return
		}
		if c.check() != nil || c.EndEntity() == nil {
			t.Errorf("not a credential: %v", c)
		}
	})
}
