package wssec_test

import (
	"crypto"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
	. "gsigw/wssec"
)

var writeAttacks = flag.String("write", "", "write the corpus of attacks into this directory")

// The corpus under testdata/attacks, made of messages that are signed here: what is an attack is refused with its
// class, what is only another writing gives back what the message it was made from does.
func TestAttacks(t *testing.T) {
	pki, attacks := corpus(t)
	store, err := trust.Open(pki.TrustDir, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if *writeAttacks != "" {
		if err := gridtest.WriteAttacks(*writeAttacks, attacks); err != nil {
			t.Fatal(err)
		}
	}
	refused, taken := 0, 0
	for _, a := range attacks {
		t.Run(a.Name, func(t *testing.T) {
			got, err := verifyAttack(pki, store, &a)
			if a.Want != "" {
				refused++
				wantClass(t, err, a.Want)
				return
			}
			taken++
			if err != nil {
				t.Fatal(err)
			}
			want, err := verifyAttack(pki, store, &gridtest.Attack{Base: a.Base, Message: []byte(a.Base.Message)})
			if err != nil {
				t.Fatal(err)
			}
			if a.Signer != "" {
				want.signer = a.Signer
			}
			if got.signer != want.signer || got.text != want.text || !slices.Equal(got.parts, want.parts) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if !a.Differs && got.message != want.message {
				t.Errorf("got\n%s\nwant\n%s", got.message, want.message)
			}
		})
	}
	t.Logf("%d attacks, %d other writings", refused, taken)
	if refused < 200 || taken < 40 {
		t.Errorf("the corpus has shrunk")
	}
}

func corpus(t testing.TB) (*gridtest.PKI, []gridtest.Attack) {
	t.Helper()
	dir := *writeAttacks
	if dir == "" {
		dir = t.TempDir()
	}
	pki, err := gridtest.NewPKI(dir, gridtest.PKIOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bases, err := gridtest.AttackBases(pki)
	if err != nil {
		t.Fatal(err)
	}
	attacks, err := gridtest.Attacks("testdata/attacks", bases)
	if err != nil {
		t.Fatal(err)
	}
	return pki, attacks
}

// received is what a receiver gets.
type received struct {
	signer, text, message string
	parts                 []string
}

// verifyAttack does what the gateway does with a reply, and `gsigw verify` with either.
func verifyAttack(g *gridtest.PKI, store *trust.Store, a *gridtest.Attack) (*received, error) {
	now := a.Base.At
	v := &Verifier{Trust: store, Now: func() time.Time { return now }, Algorithms: Algorithms{SHA1: true}}
	v.Replay = NewReplayCache(0, v.Now)
	if a.Base.DecryptKey != "" {
		v.Decrypt = &Decryption{Key: g.Host.Key.(crypto.Decrypter), CBC: true, RSA15: true}
	}
	if a.First != nil {
		if _, err := receive(v, a, a.First); err != nil {
			return nil, errors.New("the first message is refused: " + err.Error())
		}
	}
	now = a.At()
	return receive(v, a, a.Message)
}

func expectOf(a *gridtest.Attack) Expect {
	e := Expect{RelatesTo: a.Base.RelatesTo}
	if a.Base.Reply {
		e.Role = Reply
	}
	if a.Peer != "" {
		e.Peer = func(id *gsi.Identity) error {
			if !id.Matches(a.Peer) {
				return errors.New("not the peer")
			}
			return nil
		}
	}
	return e
}

func receive(v *Verifier, a *gridtest.Attack, message []byte) (*received, error) {
	e := expectOf(a)
	got, err := verifyBytes(v, message, e)
	if err != nil {
		return nil, err
	}
	rebuilt, err := rebuild(got, e.Role)
	if err != nil {
		return nil, err
	}
	p := &received{signer: got.Signer.DN, message: string(rebuilt)}
	for _, part := range got.Parts() {
		p.parts = append(p.parts, part.String())
	}
	slices.Sort(p.parts)
	p.text, err = got.Text()
	p.text = strings.TrimSpace(p.text)
	return p, err
}

func rebuild(v *Verified, role Role) ([]byte, error) {
	if role == Reply {
		return v.Message(nil)
	}
	return v.Digested()
}
