package wssec_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"gsigw/internal/gridtest"
	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
	. "gsigw/wssec"
)

// windowSize is how much of a file the scanner sees at a time.
const windowSize = 64 << 10

// The corpus again, in sealed files: where a message lies makes no difference to what is believed of it. White space
// before the envelope moves the message, so that the end of the first window falls into it, at another place each time.
func TestAttacks_MeanTheSameInAFileAsInMemory(t *testing.T) {
	pki, attacks := corpus(t)
	store, err := trust.Open(pki.TrustDir, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pool := &spool.Pool{Dir: t.TempDir(), Threshold: 1}
	random := rand.New(rand.NewPCG(4, 12))
	cut := 0
	for _, a := range attacks {
		for _, padding := range []int{0, windowSize - random.IntN(len(a.Message)+1), windowSize - random.IntN(len(a.Message)+1)} {
			message := padded(a.Message, padding)
			if len(message) > windowSize {
				cut++
			}
			inMemory := verdict(pki, store, &a, xmlscan.Memory(message))
			s, err := pool.Read(bytes.NewReader(message), 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			if _, isMemory := s.Source().(xmlscan.Memory); isMemory {
				t.Fatal("the message lies in memory")
			}
			if got := verdict(pki, store, &a, s.Source()); got != inMemory {
				t.Errorf("%s, %d bytes further on, is in a file\n%s\nin memory\n%s", a.Name, padding, got, inMemory)
			}
			s.Close()
		}
	}
	if cut < len(attacks) {
		t.Errorf("only %d of %d messages reach over a window", cut, len(attacks))
	}
}

// padded puts white space where XML allows it: in front of the root element, behind an XML declaration.
func padded(message []byte, n int) []byte {
	at := 0
	if end := bytes.Index(message, []byte("?>")); bytes.HasPrefix(message, []byte("<?xml ")) && end >= 0 {
		at = end + len("?>")
	}
	return bytes.Join([][]byte{message[:at], bytes.Repeat([]byte(" "), n), message[at:]}, nil)
}

// verdict is all that is said of a message, in words: why it is refused, or what a receiver gets.
func verdict(g *gridtest.PKI, store *trust.Store, a *gridtest.Attack, src xmlscan.Source) string {
	now := a.Base.At
	v := &Verifier{Trust: store, Now: func() time.Time { return now }, Algorithms: Algorithms{SHA1: true}}
	v.Replay = NewReplayCache(0, v.Now)
	if a.Base.DecryptKey != "" {
		v.Decrypt = &Decryption{Key: g.Host.Key.(crypto.Decrypter), CBC: true, RSA15: true}
	}
	if a.First != nil {
		if _, err := receive(v, a, a.First); err != nil {
			return "first: " + err.Error()
		}
	}
	now = a.At()
	m, err := soap.Read(src, soap.Limits{})
	if err != nil {
		return "not read: " + err.Error()
	}
	got, err := v.Verify(context.Background(), m, expectOf(a))
	if err != nil {
		e, _ := errors.AsType[*Error](err)
		return fmt.Sprintf("%s: %v", e.Class, err)
	}
	text, err := got.Text()
	if err != nil {
		return "no text: " + err.Error()
	}
	rebuild := got.RebuildDigested
	if a.Base.Reply {
		rebuild = func() (*Rebuilt, error) { return got.Rebuild(nil) }
	}
	rebuilt, err := rebuild()
	if err != nil {
		return "not rebuilt: " + err.Error()
	}
	var out strings.Builder
	if _, err := rebuilt.WriteTo(&out); err != nil {
		return "not written: " + err.Error()
	}
	return fmt.Sprintf("%s\n%s\n%v %v\n%s\n%s", got.Signer.DN, got.MessageID, got.Operation(), got.Parts(), text, out.String())
}

// A message that lies in a file is secured as one in memory is, wherever the window of the scanner ends in it.
func TestSecure_FromAFileAsFromMemory(t *testing.T) {
	g := newGrid(t)
	pool := &spool.Pool{Dir: t.TempDir(), Threshold: 1}
	profiles := orders(Encryption{To: g.User.Leaf(), Headers: []soap.Name{counterKey}})
	profiles["signed"] = &GSIMessage{}
	profiles["signed without a header"] = &GSIMessage{DropHeaders: []soap.Name{counterKey}}
	profiles["encrypted without a header"] = &X509Message{DropHeaders: []soap.Name{counterKey}, Privacy: &Encryption{To: g.User.Leaf()}}
	for name, p := range profiles {
		for before := 0; before < len(plainRequest)+200; before += 150 {
			doc := string(padded([]byte(plainRequest), windowSize-before))
			s, err := pool.Read(strings.NewReader(doc), 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			want, got := securedAndOpened(t, g, p, xmlscan.Memory(doc)), securedAndOpened(t, g, p, s.Source())
			if got != want {
				t.Errorf("%s, %d bytes before the window ends, is from a file\n%s\nfrom memory\n%s", name, before, got, want)
			}
			s.Close()
		}
	}
}

// securedAndOpened is what the receiver of a secured message reads.
func securedAndOpened(t *testing.T, g *grid, p Profile, src xmlscan.Source) string {
	t.Helper()
	m, err := soap.Read(src, soap.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	edit, _, err := p.Secure(t.Context(), m, g.User)
	if err != nil {
		t.Fatal(err)
	}
	var secured bytes.Buffer
	if _, err := edit.WriteTo(&secured); err != nil {
		t.Fatal(err)
	}
	v, err := verifyBytes(g.opener(g.User), secured.Bytes(), Expect{})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := v.Digested()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v.Operation(), v.Parts(), v.MessageID, secured.Len(), "\n", madeIDs.ReplaceAllString(string(opened), "ID"))
}

// madeIDs are the random part of ids that are made here.
var madeIDs = regexp.MustCompile(`[0-9a-f]{32}`)
