package xmlscan_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

// generator writes random well-formed documents.
type generator struct {
	*rand.Rand
	strings.Builder
}

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func generate(seed uint64) string {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	g.WriteString(g.pick("", "", `<?xml version="1.0" encoding="UTF-8"?>`, "<!-- c -->\n", "<?p q?>"))
	g.element(0, []string{""})
	g.WriteString(g.pick("", "", "\n", "<!---->", "<?p?>"))
	return g.String()
}

func (g *generator) element(depth int, prefixes []string) {
	decls := ""
	prefixes = slices.Clone(prefixes)
	for _, p := range []string{"", "p", "q", "é"} {
		if g.IntN(4) > 0 {
			continue
		}
		name := "xmlns:" + p
		if p == "" {
			name = "xmlns"
		} else {
			prefixes = append(prefixes, p)
		}
		decls += fmt.Sprintf(` %s=%s`, name, g.pick(`"urn:1"`, `'urn:2'`, `"http://x/?a&amp;b"`))
	}
	name := g.qname(prefixes)
	g.WriteString("<" + name + decls + g.attributes(prefixes))
	if g.IntN(4) == 0 {
		g.WriteString(g.pick("/>", " />"))
		return
	}
	g.WriteString(">")
	for range g.IntN(4) {
		g.content(depth, prefixes)
	}
	g.WriteString("</" + name + g.pick("", " ") + ">")
}

func (g *generator) qname(prefixes []string) string {
	if p := g.pick(prefixes...); p != "" {
		return p + ":" + g.pick("a", "b", "é-1")
	}
	return g.pick("a", "b", "_c.1", "é")
}

// attributes have local names that differ, so that no two have one expanded name.
func (g *generator) attributes(prefixes []string) string {
	out := ""
	for _, local := range []string{"x", "y", "Id"} {
		if g.IntN(3) > 0 {
			continue
		}
		if p := g.pick(prefixes...); p != "" {
			local = p + ":" + local
		}
		out += g.pick(" ", "\n", "  ") + local + g.pick("=", " = ") + g.pick(`""`, `'"'`, `"'>"`, `"&lt;&#xA;&#13;&amp;&quot;"`, `"é€ x"`)
	}
	return out + g.pick("", "", ` xml:lang="en"`)
}

func (g *generator) content(depth int, prefixes []string) {
	if depth < 5 && g.IntN(2) == 0 {
		g.element(depth+1, prefixes)
		return
	}
	g.WriteString(g.pick("text", "\r\n\t", "&amp;&#x1F600;&gt;", "]]&gt;]>", "€\U0001F600", "<![CDATA[<&]]]]>", "<!-- - -->", "<?p  q?>", "<![CDATA[]]>"))
}

// facts are what a document says, in a form that two parsers can agree on.
func facts(s *xmlscan.Scanner) (out []string, err error) {
	for {
		kind, err := s.Next()
		if err != nil || kind == xmlscan.EOF {
			return out, err
		}
		switch kind {
		case xmlscan.StartElement:
			var attrs []string
			for _, a := range s.Attrs {
				attrs = append(attrs, fmt.Sprintf("{%s}%s=%q", s.URI(a.Space), a.Local, xmlscan.AppendAttr(nil, a.Value)))
			}
			out = append(out, start(s.URI(s.Space), string(s.Local), attrs))
			if s.Empty {
				out = append(out, "end")
			}
		case xmlscan.EndElement:
			out = append(out, "end")
		case xmlscan.Text:
			if s.Depth() > 0 {
				out = appendText(out, xmlscan.AppendText(nil, s.Data))
			}
		case xmlscan.CData:
			out = appendText(out, bytes.ReplaceAll(s.Data, []byte("\r\n"), []byte("\n")))
		case xmlscan.Comment:
			out = append(out, "comment "+string(s.Data))
		}
	}
}

func start(space, local string, attrs []string) string {
	slices.Sort(attrs)
	return fmt.Sprintf("start {%s}%s %s", space, local, strings.Join(attrs, " "))
}

func appendText(out []string, text []byte) []string {
	if len(text) == 0 {
		return out
	}
	if n := len(out); n > 0 && strings.HasPrefix(out[n-1], "text ") {
		out[n-1] += string(text)
		return out
	}
	return append(out, "text "+string(text))
}

func goFacts(doc string) (out []string, err error) {
	d := xml.NewDecoder(strings.NewReader(doc))
	depth := 0
	for {
		t, err := d.Token()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth++
			var attrs []string
			for _, a := range t.Attr {
				if a.Name.Space == "xmlns" || a.Name == (xml.Name{Local: "xmlns"}) {
					continue
				}
				if a.Name.Space == "xml" {
					a.Name.Space = "http://www.w3.org/XML/1998/namespace"
				}
				attrs = append(attrs, fmt.Sprintf("{%s}%s=%q", a.Name.Space, a.Name.Local, a.Value))
			}
			out = append(out, start(t.Name.Space, t.Name.Local, attrs))
		case xml.EndElement:
			depth--
			out = append(out, "end")
		case xml.CharData:
			if depth > 0 {
				out = appendText(out, t)
			}
		case xml.Comment:
			out = append(out, "comment "+string(t))
		}
	}
}

func TestScanner_AgreesWithEncodingXML(t *testing.T) {
	for seed := range uint64(5000) {
		doc := generate(seed)
		want, err := goFacts(doc)
		if err != nil {
			t.Fatalf("seed %d: encoding/xml refuses %q: %v", seed, doc, err)
		}
		got, err := facts(xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("seed %d: %q: %v\n got %q\nwant %q", seed, doc, err, got, want)
		}
	}
}

// mutate breaks a document, or leaves it well-formed in another way.
func mutate(doc string, seed uint64) string {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 2))}
	for range 1 + g.IntN(2) {
		i := g.IntN(len(doc) + 1)
		j := min(i+g.IntN(4), len(doc))
		switch g.IntN(3) {
		case 0:
			doc = doc[:i] + doc[j:]
		case 1:
			doc = doc[:j] + doc[i:]
		default:
			doc = doc[:i] + g.pick("<", ">", "&", "/", "\"", "'", " ", "=", ":", "]]>", "--", "<!--", "-->", "<![CDATA[", "?>", "<?", "&#", ";", "&#x0;", "&lt;", "xmlns", "xml", "p:", "\x00", "\x1f", "é", "\ufffe", "·", "-", "1", ` xmlns:q="urn:1"`, ` xmlns:p=""`, ` x="1"`, `<a/>`, `</a>`) + doc[j:]
		}
		if doc == "" {
			return " "
		}
	}
	return doc
}

// beyond matches what libxml2 sees otherwise by design: document types are refused here whatever they say, and so are
// other encodings and versions. It also says nothing of relative namespace names on prefixes, and checks more of
// their characters.
var beyond = regexp.MustCompile(`<!DOCTYPE|^(\xef\xbb\xbf)?<\?xml\s`)

func TestScanner_AgreesWithLibxml2OnMutations(t *testing.T) {
	xmllint, err := exec.LookPath("xmllint")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("no xmllint on this machine: apt-get install --no-install-recommends libxml2-utils")
	}
	if err != nil {
		t.Skip("no xmllint on this machine: apt-get install --no-install-recommends libxml2-utils")
	}
	dir := t.TempDir()
	var docs, files []string
	for seed := range uint64(4000) {
		doc := mutate(generate(seed), seed)
		if beyond.MatchString(doc) {
			continue
		}
		name := filepath.Join(dir, fmt.Sprint(len(docs))+".xml")
		if err := os.WriteFile(name, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		docs, files = append(docs, doc), append(files, name)
	}
	complaints := lint(t, xmllint, files)
	refused := 0
	for i, doc := range docs {
		theirs := complaints[files[i]]
		if strings.Contains(theirs, "is not a valid URI") {
			continue
		}
		err := scan(doc)
		if err != nil {
			refused++
			if strings.Contains(err.Error(), "has no scheme") {
				continue
			}
		}
		if (err == nil) != (theirs == "") {
			t.Errorf("%q:\nhere    %v\nlibxml2 %s", doc, err, theirs)
		}
	}
	t.Logf("%d documents, %d refused", len(docs), refused)
}

var complaint = regexp.MustCompile(`(?m)^(.*?):\d+: ((?:parser error|namespace error|namespace warning) : .*)$`)

// lint gives xmllint's first words on each file that it does not like.
func lint(t *testing.T, xmllint string, files []string) map[string]string {
	said := map[string]string{}
	for batch := range slices.Chunk(files, 500) {
		cmd := exec.CommandContext(t.Context(), xmllint, append([]string{"--noout", "--nonet"}, batch...)...)
		out, _ := cmd.CombinedOutput() // fails where it refuses a file
		for _, m := range complaint.FindAllStringSubmatch(string(out), -1) {
			if said[m[1]] == "" {
				said[m[1]] = m[2]
			}
		}
	}
	return said
}
