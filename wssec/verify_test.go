package wssec_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	"gsigw/trust"
	. "gsigw/wssec"
)

// cut gives the first element of that qualified name, markup included.
func cut(doc, name string) string {
	start := strings.Index(doc, "<"+name)
	tag := "</" + strings.TrimSpace(name) + ">"
	return doc[start : start+strings.Index(doc[start:], tag)+len(tag)]
}

func bodyID(doc string) string {
	return regexp.MustCompile(`<soapenv:Body[^>]* wsu:Id="([^"]*)"`).FindStringSubmatch(doc)[1]
}

// put replaces the first occurrence, and fails the test where there is none.
func put(old, new string) func(string) string {
	return func(doc string) string {
		if !strings.Contains(doc, old) {
			panic("not in the message: " + old)
		}
		return strings.Replace(doc, old, new, 1)
	}
}

// regex replaces the first match.
func regex(pattern, new string) func(string) string {
	return func(doc string) string {
		re := regexp.MustCompile(pattern)
		loc := re.FindStringIndex(doc)
		if loc == nil {
			panic("not in the message: " + pattern)
		}
		return doc[:loc[0]] + re.ReplaceAllString(doc[loc[0]:loc[1]], new) + doc[loc[1]:]
	}
}

func TestVerify_Times(t *testing.T) {
	g := newGrid(t)
	now := time.Now()
	for _, c := range []struct {
		name     string
		created  time.Duration
		lifetime time.Duration
		want     Class
	}{
		{"now", 0, 0, ""},
		{"4 minutes old", -4 * time.Minute, 0, ""},
		{"6 minutes old", -6 * time.Minute, time.Hour, ClassExpired},
		{"4 minutes early", 4 * time.Minute, 0, ""},
		{"6 minutes early", 6 * time.Minute, 0, ClassExpired},
		{"expired before it was made", 0, -time.Minute, ClassExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &GSIMessage{Lifetime: c.lifetime, Now: func() time.Time { return now.Add(c.created) }}
			v := *g.verifier
			v.Now = func() time.Time { return now }
			_, err := verifyBytes(&v, []byte(secure(t, p, plainRequest, g.User)), Expect{})
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				wantClass(t, err, c.want)
			}
		})
	}
	t.Run("over by its own Expires", func(t *testing.T) {
		p := &GSIMessage{Lifetime: time.Second, Now: func() time.Time { return now.Add(-4 * time.Second) }}
		v := *g.verifier
		v.Now, v.Skew = func() time.Time { return now }, 2*time.Second
		v.Skew = 2 * time.Second
		_, err := verifyBytes(&v, []byte(secure(t, p, plainRequest, g.User)), Expect{})
		wantClass(t, err, ClassExpired)
	})
}

func TestVerify_Algorithms(t *testing.T) {
	g := newGrid(t)
	sha1 := secure(t, &GSIMessage{Digest: SHA1}, plainRequest, g.User)
	for _, c := range []struct {
		name string
		a    Algorithms
		doc  string
		want Class
	}{
		{"SHA-1 where it is not allowed", Algorithms{}, sha1, ClassAlgorithm},
		{"key shorter than allowed", Algorithms{SHA1: true, MinRSABits: 3072}, sha1, ClassAlgorithm},
		{"key longer than allowed", Algorithms{SHA1: true, MaxRSABits: 1024}, sha1, ClassLimit},
	} {
		v := *g.verifier
		v.Algorithms = c.a
		_, err := verifyBytes(&v, []byte(c.doc), Expect{})
		wantClass(t, err, c.want)
	}
	v := *g.verifier
	v.MaxReferences = 3
	_, err := verifyBytes(&v, []byte(sha1), Expect{})
	wantClass(t, err, ClassLimit)
	v = *g.verifier
	v.MaxCertificates = 1
	_, err = verifyBytes(&v, []byte(secure(t, &GSIMessage{}, plainRequest, g.proxy(t, gsi.Limits{}))), Expect{})
	wantClass(t, err, ClassLimit)
}

func TestVerify_RefusesStrangers(t *testing.T) {
	g := newGrid(t)
	doc := secure(t, &GSIMessage{}, plainRequest, g.User)
	empty, err := trust.Open(t.TempDir(), trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifyBytes(&Verifier{Trust: empty}, []byte(doc), Expect{})
	wantClass(t, err, ClassUntrusted)
	_, err = verifyBytes(g.verifier, []byte(doc), Expect{Require: []soap.Name{{Space: "urn:x", Local: "Consent"}}})
	wantClass(t, err, ClassUnsignedPart)
}

func TestVerify_RefusesASignerWhoseCertificateIsNotForSignatures(t *testing.T) {
	g := newGrid(t)
	for usage, want := range map[x509.KeyUsage]Class{
		x509.KeyUsageKeyEncipherment: ClassUntrusted, x509.KeyUsageContentCommitment: "", x509.KeyUsageDigitalSignature: "", 0: "",
	} {
		c := gridtest.Must(g.CA.Issue(gridtest.Request{
			Name: gridtest.UserName, Change: func(t *x509.Certificate) { t.KeyUsage = usage },
		}))
		_, err := verifyBytes(g.verifier, []byte(secure(t, &GSIMessage{}, plainRequest, c)), Expect{})
		if want != "" {
			wantClass(t, err, want)
		} else if err != nil {
			t.Errorf("key usage %b: %v", usage, err)
		}
	}
}

func TestVerify_RefusesReplay(t *testing.T) {
	g := newGrid(t)
	v := *g.verifier
	v.Replay = NewReplayCache(2, nil)
	doc := func(id string) []byte {
		return []byte(secure(t, &GSIMessage{}, strings.Replace(plainRequest, "uuid:1", id, 1), g.User))
	}
	first := doc("uuid:1")
	if _, err := verifyBytes(&v, first, Expect{}); err != nil {
		t.Fatal(err)
	}
	_, err := verifyBytes(&v, first, Expect{})
	wantClass(t, err, ClassReplay)
	_, err = verifyBytes(&v, doc("uuid:1"), Expect{})
	wantClass(t, err, ClassReplay)
	broken := strings.Replace(string(doc("uuid:2")), ">5 &amp;", ">6 &amp;", 1)
	if _, err := verifyBytes(&v, []byte(broken), Expect{}); err == nil || v.Replay.(*ReplayCache).Len() != 1 {
		t.Error("a message that fails is remembered")
	}
	if _, err := verifyBytes(&v, doc("uuid:2"), Expect{}); err != nil {
		t.Fatal(err)
	}
	_, err = verifyBytes(&v, doc("uuid:3"), Expect{})
	wantClass(t, err, ClassReplay)
}

func TestVerify_RefusesReplayWithoutMessageID(t *testing.T) {
	g := newGrid(t)
	v := *g.verifier
	v.Replay = NewReplayCache(0, nil)
	doc := []byte(secure(t, &GSIMessage{Unanswered: true}, `<e:Envelope xmlns:e="`+soap.Envelope11+`"><e:Body/></e:Envelope>`, g.User))
	if _, err := verifyBytes(&v, doc, Expect{}); err != nil {
		t.Fatal(err)
	}
	_, err := verifyBytes(&v, doc, Expect{})
	wantClass(t, err, ClassReplay)
	another := []byte(secure(t, &GSIMessage{Unanswered: true}, `<e:Envelope xmlns:e="`+soap.Envelope11+`"><e:Body/></e:Envelope>`, g.User))
	if _, err := verifyBytes(&v, another, Expect{}); err != nil {
		t.Error("another message without a MessageID is refused:", err)
	}
}

func TestReplayCache_ForgetsNothingBeforeItsTime(t *testing.T) {
	clock := time.Unix(1000, 0)
	r := NewReplayCache(1000, func() time.Time { return clock })
	ctx := context.Background()
	for i := range 500 {
		if err := r.Seen(ctx, fmt.Sprint(i), clock.Add(10*time.Minute)); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(time.Second)
	}
	for i := range 500 {
		if err := r.Seen(ctx, fmt.Sprint(i), clock.Add(10*time.Minute)); err != ErrReplay {
			t.Fatalf("%d: %v", i, err)
		}
	}
	clock = clock.Add(11 * time.Minute)
	if err := r.Seen(ctx, "new", clock.Add(time.Minute)); err != nil || r.Len() != 1 {
		t.Errorf("%v; %d remembered after their time", err, r.Len())
	}
	clock = clock.Add(-time.Hour)
	if err := r.Seen(ctx, "0", clock.Add(10*time.Minute)); err != ErrReplay {
		t.Errorf("the clock was set back, and what was forgotten is taken again: %v", err)
	}
}
