package wssec_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
)

var (
	mutations    = flag.Int("mutations", 20_000, "how many mutants of the captures TestMutations tries")
	mutationSeed = flag.Uint64("mutation-seed", 0, "the seed of TestMutations; 0: another one each time")
)

// TestMutations changes captures at random: bytes, spans, elements, attributes, between captures too. Every mutant is
// refused, or yields what its signer wrote.
//
//	go test ./wssec -run TestMutations -mutations 1000000
func TestMutations(t *testing.T) {
	seed := *mutationSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	m := readMutable(t)
	accepted := 0
	for i := range *mutations {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		doc, role := m.mutant(r)
		taken, err := m.try(t, doc, role)
		if err != nil {
			t.Errorf("mutant %d of -mutation-seed %d: %v\n%.20000s", i, seed, err, doc)
		}
		if taken {
			accepted++
		}
	}
	t.Logf("-mutation-seed %d: %d mutants, %d refused, %d yield what was signed", seed, *mutations, *mutations-accepted, accepted)
	if *mutations >= 10_000 && accepted == 0 {
		t.Error("nothing was accepted: the mutants are too far from the captures to find anything")
	}
}

// mutable is what mutants are made of.
type mutable struct {
	docs     [][]byte
	roles    []Role
	decrypt  map[Role]*Decryption
	payloads map[string]bool // parts that were signed
	tokens   [][]byte        // names, attributes, values
}

var markup = regexp.MustCompile(`[\w-]+:[\w-]+|"[^"]*"|>[^<]+<|[\w-]+="[^"]*"|<[^>]*>`)

func readMutable(t testing.TB) *mutable {
	m := &mutable{payloads: map[string]bool{}, decrypt: map[Role]*Decryption{}}
	for _, role := range []Role{Request, Reply} {
		m.decrypt[role] = gt4Decrypter(t, nil, role).Decrypt
	}
	for _, file := range signedCaptures(t) {
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m.docs, m.roles = append(m.docs, doc), append(m.roles, roleOf(file))
		m.tokens = append(m.tokens, markup.FindAll(doc, -1)...)
		for _, d := range []*Decryption{nil, m.decrypt[roleOf(file)]} {
			verifier := gt4Verifier(t, doc)
			verifier.Decrypt = d
			v, err := verifyBytes(verifier, doc, Expect{Role: roleOf(file)})
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range parts(t, []byte(payload(t, v))) {
				m.payloads[part] = true
			}
		}
	}
	for _, odd := range oddities {
		m.tokens = append(m.tokens, []byte(odd))
	}
	return m
}

// oddities are what parsers differ on.
var oddities = []string{
	"<!---->", "<!-- x", "-->", "<![CDATA[", "]]>", "<?x?>", "<!DOCTYPE a>", "&#0;", "&#13;", "&#x26;", "&amp;", "&lt;", "&x;",
	` xmlns=""`, ` xmlns="urn:x"`, ` xmlns:soapenv="urn:x"`, ` wsu:Id="x"`, ` Id="x"`, ` xml:id="x"`, "/>", "</", "\r\n", "\x00",
	"\xff", "\xef\xbb\xbf", "\xc2\xa0", " ", "=", "#", ":", "'", `"`, ` soapenv:actor="urn:x"`, ` soapenv:mustUnderstand="0"`,
}

// mutant changes one capture, once to four times.
func (m *mutable) mutant(r *rand.Rand) ([]byte, Role) {
	i := r.IntN(len(m.docs))
	doc := slices.Clone(m.docs[i])
	for range 1 + r.IntN(4) {
		doc = m.change(r, doc)
	}
	return doc, m.roles[i]
}

func (m *mutable) change(r *rand.Rand, doc []byte) []byte {
	if len(doc) == 0 {
		return doc
	}
	a, b := place(r, doc)
	switch r.IntN(9) {
	case 0: // a bit
		doc[a] ^= 1 << r.IntN(8)
		return doc
	case 1: // a byte
		doc[a] = byte(r.Uint32())
		return doc
	case 2: // a span is gone
		return slices.Delete(doc, a, b)
	case 3: // a span stands twice
		return slices.Insert(doc, b, slices.Clone(doc[a:b])...)
	case 4: // a span moves
		span := slices.Clone(doc[a:b])
		doc = slices.Delete(doc, a, b)
		return slices.Insert(doc, r.IntN(len(doc)+1), span...)
	case 5: // a span of another capture
		other := m.docs[r.IntN(len(m.docs))]
		c, d := place(r, other)
		return slices.Replace(doc, a, b, other[c:d]...)
	case 6: // a token in another's place
		if at := markup.FindIndex(doc[a:]); at != nil {
			return slices.Replace(doc, a+at[0], a+at[1], m.token(r)...)
		}
		return doc
	case 7: // a token between
		return slices.Insert(doc, a, m.token(r)...)
	default: // one value everywhere
		return bytes.ReplaceAll(doc, m.token(r), m.token(r))
	}
}

func (m *mutable) token(r *rand.Rand) []byte { return m.tokens[r.IntN(len(m.tokens))] }

// place is a span of a document: a few bytes, or a whole element.
func place(r *rand.Rand, doc []byte) (start, end int) {
	start = r.IntN(len(doc))
	if i := bytes.IndexByte(doc[start:], '<'); i >= 0 && r.IntN(2) == 0 {
		if end := elementEnd(doc, start+i); end > 0 {
			return start + i, end
		}
	}
	return start, min(len(doc), start+1+r.IntN(40))
}

// elementEnd finds the end of the element whose start tag is there, by its name alone; 0 where there is none.
func elementEnd(doc []byte, at int) int {
	name, _, _ := bytes.Cut(doc[at+1:], []byte(" "))
	name, _, _ = bytes.Cut(name, []byte(">"))
	tag := bytes.IndexByte(doc[at:], '>')
	if tag > 0 && doc[at+tag-1] == '/' {
		return at + tag + 1
	}
	end := "</" + string(name) + ">"
	if i := bytes.Index(doc[at:], []byte(end)); len(name) > 0 && i > 0 {
		return at + i + len(end)
	}
	return 0
}

// try verifies a mutant, without and with the receiver's key; what is accepted must be made of what was signed.
func (m *mutable) try(t testing.TB, doc []byte, role Role) (accepted bool, err error) {
	accepted, err = m.verify(t, doc, role, nil)
	if err != nil || !bytes.Contains(doc, []byte("Encrypted")) {
		return accepted, err
	}
	return m.verify(t, doc, role, m.decrypt[role])
}

func (m *mutable) verify(t testing.TB, doc []byte, role Role, d *Decryption) (accepted bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	verifier := gt4Verifier(t, doc)
	verifier.Decrypt = d
	v, err := verifyBytes(verifier, doc, Expect{Role: role})
	if err != nil {
		if _, ok := err.(*Error); !ok {
			return false, fmt.Errorf("an error of type %T: %w", err, err)
		}
		return false, nil
	}
	p := payload(t, v)
	if p == "" {
		return false, nil
	}
	for _, part := range parts(t, []byte(p)) {
		if !m.payloads[part] {
			return true, fmt.Errorf("accepted with something that nobody signed:\n%s", part)
		}
	}
	if rebuilt, err := v.Message(nil); err == nil {
		if _, err := soap.Read(xmlscan.Memory(rebuilt), soap.Limits{}); err != nil {
			return true, fmt.Errorf("rebuilt to something that is no message: %w\n%s", err, rebuilt)
		}
	}
	return true, nil
}

// parts are the header blocks and Body of what was given back.
func parts(t testing.TB, message []byte) (list []string) {
	m, err := soap.Read(xmlscan.Memory(message), soap.Limits{})
	if err != nil {
		t.Fatalf("given back is no message: %v\n%s", err, message)
	}
	for _, b := range m.Blocks {
		list = append(list, string(message[b.Span.Start:b.Span.End]))
	}
	return append(list, string(message[m.Body.Span.Start:m.Body.Span.End]))
}
