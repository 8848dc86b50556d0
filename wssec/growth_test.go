package wssec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	. "gsigw/wssec"
)

// Each element at the top of what is encrypted declares all namespaces in scope: a message of a few megabytes could
// become one of many gigabytes.
func TestSecure_BoundsWhatEncryptingAdds(t *testing.T) {
	g := newGrid(t)
	var spaces strings.Builder
	for i := range 50 {
		fmt.Fprintf(&spaces, ` xmlns:p%d="urn:%s"`, i, strings.Repeat("x", 400))
	}
	item := soap.Name{Local: "i"}
	for name, c := range map[string]struct {
		spaces   string
		items    int
		elements []soap.Name
		isOver   bool
	}{
		"few with many namespaces":        {spaces.String(), 2, nil, false},
		"many with many namespaces":       {spaces.String(), 20, nil, true},
		"many with few":                   {"", 200, nil, false},
		"few elements":                    {"", 10, []soap.Name{item}, false},
		"many elements":                   {"", 1000, []soap.Name{item}, true},
		"elements with many namespaces":   {spaces.String(), 20, []soap.Name{item}, true},
		"no elements with few namespaces": {"", 1, []soap.Name{item}, false},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.Replace(requestWith("<a/>"), "<a/>", strings.Repeat("<i/>", c.items), 1)
			doc = strings.Replace(doc, "Envelope ", "Envelope"+c.spaces+" ", 1)
			for order, p := range orders(Encryption{To: g.User.Leaf(), Elements: c.elements}) {
				m, err := soap.Read(xmlscan.Memory(doc), soap.Limits{MessageBytes: 200_000})
				if err != nil {
					t.Fatal(err)
				}
				_, _, err = p.Secure(t.Context(), m, g.User)
				if e, ok := errors.AsType[*xmlscan.Error](err); ok != c.isOver || ok && e.Limit != "message" || !ok && err != nil {
					t.Errorf("%s: %v", order, err)
				}
			}
		})
	}
}
