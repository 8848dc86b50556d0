package wssec_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"math/rand/v2"
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
