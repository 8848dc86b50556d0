package interop

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

const wsuNS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"

// An xmlGen writes random well-formed documents that lean on what canonicalisation is about: namespaces declared,
// redeclared and undeclared, attributes to be sorted, line ends, references, quotes and white space in every place.
// The same seed always gives the same document.
type xmlGen struct {
	*rand.Rand
	b      strings.Builder
	budget int      // elements still to be written
	width  int      // pieces of content in the document element
	soap   bool     // no processing instructions, which SOAP forbids
	xmlAt  int      // the one depth where xml:lang and its like may stand; negative: anywhere
	ids    []string // wsu:Id of every element that has one; the root's is first
}

// scope maps prefixes to namespace URIs; the empty prefix is the default namespace.
type scope map[string]string

func newXMLGen(seed uint64) *xmlGen {
	r := rand.New(rand.NewPCG(seed, 0x6373696777))
	return &xmlGen{Rand: r, budget: 1 + r.IntN(40), width: r.IntN(6), xmlAt: r.IntN(6) - 1}
}

// document returns a document and the ids of its elements.
func (g *xmlGen) document() (doc []byte, ids []string) {
	if g.chance(2) {
		g.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + g.pick("", "\n", "\r\n"))
	}
	g.misc()
	g.element(scope{}, 0)
	g.misc()
	return []byte(g.b.String()), g.ids
}

// misc writes what may stand beside the document element.
func (g *xmlGen) misc() {
	for g.chance(4) {
		g.b.WriteString(g.pick("\n", "\r\n", " \t") + g.oneOf(g.comment, g.instruction))
	}
	g.b.WriteString(g.pick("", "\n", "\r\n\n"))
}

func (g *xmlGen) element(outer scope, depth int) {
	g.budget--
	in := maps.Clone(outer)
	tag := g.declarations(in)
	if len(g.ids) == 0 || g.chance(2) {
		tag = append(tag, g.id(in)...)
	}
	tag = append(tag, g.attributes(in, depth)...)
	g.Shuffle(len(tag), func(i, j int) { tag[i], tag[j] = tag[j], tag[i] })

	name := g.name(g.pick(slices.Sorted(maps.Keys(in))...))
	g.b.WriteString("<" + name)
	for _, a := range tag {
		g.b.WriteString(g.space() + a)
	}
	g.b.WriteString(g.pick("", " ", "\n"))
	if g.chance(5) {
		g.b.WriteString("/>")
		return
	}
	g.b.WriteString(">")
	g.content(in, depth)
	g.b.WriteString("</" + name + g.pick("", "", " ", "\r\n") + ">")
}

func (g *xmlGen) content(in scope, depth int) {
	pieces := g.IntN(6)
	if depth == 0 {
		pieces = g.width
	}
	for range pieces {
		if g.budget > 0 && depth < 12 && g.chance(2) {
			g.element(in, depth+1)
			continue
		}
		g.b.WriteString(g.oneOf(g.text, g.text, g.cdata, g.comment, g.instruction))
	}
}

// declarations adds to the scope and returns xmlns attributes: new ones, prefixes bound anew to the same or another
// URI, the default namespace set and undone.
func (g *xmlGen) declarations(in scope) []string {
	var out []string
	if len(in) == 0 {
		in[""] = ""
	}
	prefixes := []string{"", "a", "b", "c", "é", "soap", "p-1.x", "_"}
	g.Shuffle(len(prefixes), func(i, j int) { prefixes[i], prefixes[j] = prefixes[j], prefixes[i] })
	for _, p := range prefixes[:g.IntN(4)] {
		uri, bound := in[p]
		if !bound || !g.chance(3) {
			uri = g.uri()
		}
		if p == "" && g.chance(3) {
			uri = ""
		}
		in[p] = uri
		out = append(out, strings.TrimSuffix("xmlns:"+p, ":")+g.equals()+g.quoted(uri))
	}
	if g.chance(40) {
		out = append(out, `xmlns:xml="http://www.w3.org/XML/1998/namespace"`)
	}
	return out
}

func (g *xmlGen) uri() string {
	return g.pick("http://a.example/", "http://b.example/", "http://a.example/z", "urn:z", "http://e.example/%C3%A9#x",
		"http://schemas.xmlsoap.org/soap/envelope/", "http://B.example/", "http://a.example/?q='1'", wsuNS)
}

// id returns a wsu:Id attribute, and a declaration of its namespace where no prefix has it.
func (g *xmlGen) id(in scope) []string {
	id := fmt.Sprintf("id-%d", len(g.ids))
	g.ids = append(g.ids, id)
	for _, p := range slices.Sorted(maps.Keys(in)) {
		if p != "" && in[p] == wsuNS {
			return []string{p + ":Id" + g.equals() + g.quoted(id)}
		}
	}
	p := g.pick("wsu", "u")
	in[p] = wsuNS
	return []string{"xmlns:" + p + g.equals() + g.quoted(wsuNS), p + ":Id" + g.equals() + g.quoted(id)}
}

// attributes returns attributes whose expanded names differ, as namespaces ask.
func (g *xmlGen) attributes(in scope, depth int) []string {
	seen := map[string]bool{}
	var out []string
	for range g.IntN(6) {
		prefix := g.pick(append(slices.Sorted(maps.Keys(in)), "", "xml")...)
		if prefix == "xml" && g.xmlAt >= 0 && g.xmlAt != depth {
			continue
		}
		uri, local, value := in[prefix], g.pick("a", "b", "A", "type", "aa", "é", "z.9", "_"), g.value()
		switch prefix {
		case "":
			uri = "" // an attribute without a prefix is in no namespace
		case "xml":
			uri, local = "xml", g.pick("lang", "base", "space")
		}
		if local == "space" {
			value = g.quoted(g.pick("preserve", "default"))
		}
		if name := uri + " " + local; !seen[name] {
			seen[name] = true
			out = append(out, strings.TrimPrefix(prefix+":"+local, ":")+g.equals()+value)
		}
	}
	return out
}

func (g *xmlGen) name(prefix string) string {
	return strings.TrimPrefix(prefix+":"+g.pick("e", "Body", "x", "f-1", "ß", "中", "_"), ":")
}

// value returns an attribute value in quotes, with what must be normalised and what must not.
func (g *xmlGen) value() string {
	var v strings.Builder
	for range g.IntN(5) {
		v.WriteString(g.pick("v", " ", "  ", "\t", "\n", "\r\n", "\r", "&#13;", "&#xD;", "&#10;", "&#xA;", "&#9;", "&#x20;",
			"&lt;", "&gt;", ">", "&amp;", "&quot;", "&apos;", "&#x10FFFF;", "é", "𝄞", "\u0085", "\u2028", "&#60;"))
	}
	if g.chance(2) {
		return `"` + v.String() + g.pick("'", "") + `"`
	}
	return `'` + v.String() + g.pick(`"`, "") + `'`
}

func (g *xmlGen) text() string {
	var v strings.Builder
	for range 1 + g.IntN(5) {
		v.WriteString(g.pick("text", " ", "\t", "\n", "\r\n", "\r", "\r\r\n", "&#13;", "&#xD;", "&#xd;&#10;", "&#9;", "&#10;",
			"&lt;", "&gt;", ">", "&amp;", "&quot;", "&apos;", `"`, "'", "]]&gt;", "] ", "é", "𝄞", "&#x1D11E;", "&#128512;",
			"\u0085", "\u2028", "&#x85;", "&amp;#xD;", "&amp;lt;"))
	}
	return v.String()
}

func (g *xmlGen) cdata() string {
	return "<![CDATA[" + g.pick("", "x", "<&>", "\r\n", "\r", "]]", "&#13;", `"'`, "é𝄞") + "]]>"
}

func (g *xmlGen) comment() string {
	return "<!--" + g.pick("", " c ", "<&>", "\r\n", "\r", " - - ", "&lt;", "é𝄞") + "-->"
}

func (g *xmlGen) instruction() string {
	if g.soap {
		return ""
	}
	return "<?" + g.pick("t", "xml-t", "é") + g.pick("", " ", " d", "  d  ", "\td", "\r\nd\r\n", " <&>", ` a="1"`, " ?") + "?>"
}

func (g *xmlGen) equals() string { return g.pick("=", "=", "=", " =", "= ", "\n=\t") }
func (g *xmlGen) space() string  { return g.pick(" ", " ", "  ", "\n", "\t", "\r\n ") }

func (g *xmlGen) quoted(s string) string {
	if strings.Contains(s, "'") || g.chance(2) {
		return `"` + s + `"`
	}
	return "'" + s + "'"
}

func (g *xmlGen) chance(oneIn int) bool            { return g.IntN(oneIn) == 0 }
func (g *xmlGen) pick(of ...string) string         { return of[g.IntN(len(of))] }
func (g *xmlGen) oneOf(of ...func() string) string { return of[g.IntN(len(of))]() }

// prefixList returns a PrefixList of prefixes that are in scope somewhere, nowhere, or twice in the list.
func (g *xmlGen) prefixList() string {
	var list []string
	for range g.IntN(5) {
		list = append(list, g.pick("a", "b", "c", "é", "soap", "p-1.x", "wsu", "#default", "nowhere"))
	}
	return strings.Join(list, " ")
}
