package wssec

import (
	"fmt"
	"slices"
	"strings"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec/c14n"
)

// unseen are the prefixes in scope around an element, read by s, that stand for the same inside it and that its start
// tag does not use: exclusive canonical XML leaves them out unless a PrefixList names them (Basic Security Profile 1.1,
// R5405 and R5408). The prefix added is one that the start tag will use.
func unseen(s *xmlscan.Scanner, scope *xmlscan.Scope, added string) ([]string, error) {
	if _, err := s.Next(); err != nil {
		return nil, err
	}
	seen := map[string]bool{string(s.Prefix): true, "xml": true}
	if added != "" {
		seen[added] = true
	}
	for i := range s.Attrs {
		if p := s.Attrs[i].Prefix; len(p) > 0 {
			seen[string(p)] = true
		}
	}
	for _, d := range s.Decls {
		seen[string(d.Prefix)] = true
	}
	var prefixes []string
	for _, b := range slices.Backward(scope.Bindings) { // the nearest first: it hides the others
		if !seen[b.Prefix] && b.Space != "" {
			prefixes = append(prefixes, listed(b.Prefix))
		}
		seen[b.Prefix] = true
	}
	slices.Sort(prefixes)
	return prefixes, nil
}

// listed is a prefix as PrefixLists write it.
func listed(prefix string) string {
	if prefix == "" {
		return "#default"
	}
	return prefix
}

// prefixList writes InclusiveNamespaces (Exclusive XML Canonicalization 1.0, section 4); nothing for an empty list.
func prefixList(prefixes []string) []byte {
	if len(prefixes) == 0 {
		return nil
	}
	return fmt.Appendf(nil, `<ec:InclusiveNamespaces xmlns:ec="%s" PrefixList="%s"></ec:InclusiveNamespaces>`,
		c14n.ExclusiveURI, strings.Join(prefixes, " "))
}

// headerScope is what a header block that is put into a message inherits.
func headerScope(m *soap.Message) (*xmlscan.Scope, error) {
	if m.Header == nil {
		return orEmpty(m.Body.Scope), nil // Header will stand beside Body
	}
	s := m.Scan(m.Header)
	if _, err := s.Next(); err != nil {
		return nil, err
	}
	return orEmpty(s.ScopeIn(m.Header.Scope)), nil
}

func orEmpty(s *xmlscan.Scope) *xmlscan.Scope {
	if s == nil {
		return &xmlscan.Scope{}
	}
	return s
}

// declare is the scope inside an element that declares prefixes.
func declare(outer *xmlscan.Scope, bindings ...xmlscan.Binding) *xmlscan.Scope {
	return &xmlscan.Scope{Bindings: append(slices.Clip(outer.Bindings), bindings...), XML: outer.XML}
}
