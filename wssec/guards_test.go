package wssec_test

import (
	"regexp"
	"strings"
	"testing"

	"gsigw/soap"
	. "gsigw/wssec"
	"gsigw/wssec/xmlenc"
)

// Who signs all but Body is told nothing of what Body holds, and be it what he guesses.
func TestVerify_TellsNothingOfABodyThatIsNotSigned(t *testing.T) {
	g := newGrid(t)
	for _, c := range []xmlenc.Cipher{xmlenc.AES128GCM, xmlenc.AES128CBC} {
		doc := secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf(), Cipher: c}}, plainRequest, g.User)
		body := regexp.MustCompile(`<ds:Reference URI="#` + parse(t, doc).Body.ID + `">.*?</ds:Reference>`)
		if !body.MatchString(doc) {
			t.Fatal(doc)
		}
		doc = sealer{key: g.User.Key}.seal(t, body.ReplaceAllString(doc, ""))
		var first *answer
		for _, text := range []string{rightText, "<a/>", "<a>", " "} {
			q := question{text: text}
			got := g.oracle().ask(t, q.put(t, doc, hostKey(g), c, xmlenc.RSAOAEP))
			if first == nil {
				first = &got
			}
			if got.class != ClassDecrypt || got.err != first.err {
				t.Errorf("%s: %+v", text, got)
			}
		}
	}
}

// withTwo is a message of two EncryptedData elements under one key, a header block and Body.
func (g *grid) withTwo(t testing.TB) string {
	return secureBy(t, &X509Message{Privacy: &Encryption{To: g.Host.Leaf(), Headers: []soap.Name{counterKey}}}, plainRequest, g.User)
}

func TestVerify_OpensAKeyOnceForAllThatItOpens(t *testing.T) {
	g := newGrid(t)
	o := g.oracle()
	if _, err := verifyBytes(o.Verifier, []byte(g.withTwo(t)), Expect{Encrypted: true}); err != nil || o.operations != 1 {
		t.Errorf("%d uses of the private key; %v", o.operations, err)
	}
}

func TestVerify_BoundsCiphertextAltogether(t *testing.T) {
	g := newGrid(t)
	doc := g.withTwo(t)
	var sizes []int64
	for _, v := range regexp.MustCompile(`(?s)<xenc:EncryptedData.*?<xenc:CipherValue>([^<]*)`).FindAllStringSubmatch(doc, -1) {
		sizes = append(sizes, int64(len(v[1])/4*3-strings.Count(v[1], "=")))
	}
	for limit, want := range map[int64]Class{sizes[0] + sizes[1]: "", sizes[0] + sizes[1] - 1: ClassLimit} {
		v := g.opener(g.Host)
		v.Decrypt.MaxBytes = limit
		_, err := verifyBytes(v, []byte(doc), Expect{Encrypted: true})
		if want != "" {
			wantClass(t, err, want)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// What names the key of encrypted data must name one, and the one that refers to it.
func TestVerify_RefusesKeysThatDoNotFitTheirData(t *testing.T) {
	g := newGrid(t)
	doc := g.withTwo(t)
	rest, _ := cutKey(doc)
	named := func(doc string, ids ...string) string {
		at := strings.LastIndex(doc, "<xenc:CipherData>")
		var refs strings.Builder
		for _, id := range ids {
			refs.WriteString(`<s:Reference xmlns:s="` + soap.WSSE + `" URI="#` + id + `"/>`)
		}
		return doc[:at] + `<ds:KeyInfo xmlns:ds="` + DSig + `">` + refs.String() + `</ds:KeyInfo>` + doc[at:]
	}
	bodyID := between(doc[strings.Index(doc, "<soapenv:Body"):], ` Id="EncDataId-`, `"`)
	one := strings.Replace(doc, `<xenc:DataReference URI="#EncDataId-`+bodyID+`"></xenc:DataReference>`, "", 1)
	one = strings.Replace(one, "<xenc:EncryptedKey ", `<xenc:EncryptedKey Id="EK" `, 1)
	one = strings.Replace(one, "</xenc:EncryptedKey>", `</xenc:EncryptedKey><x:ReferenceList xmlns:x="`+xmlenc.Space+`"><x:DataReference URI="#EncDataId-`+bodyID+`"/></x:ReferenceList>`, 1)
	if _, err := verifyBytes(g.opener(g.Host), []byte(named(one, "EK")), Expect{}); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name, doc string
		want      Class
		words     string
	}{
		{"one key, two sizes", strings.Replace(doc, "aes256-gcm", "aes128-gcm", 1), ClassMalformed, "keys of"},
		{"another key is named", named(doc, "other"), ClassMalformed, "names another key"},
		{"two keys are named", named(one, "EK", "EK"), ClassDecrypt, "names no encrypted key"},
		{"no key at all", rest, ClassDecrypt, "has encrypted data and no encrypted key for it"},
	} {
		got := g.oracle().ask(t, c.doc)
		if got.class != c.want || got.operations > 0 || !strings.Contains(got.err, c.words) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
