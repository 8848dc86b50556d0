package gsi_test

import (
	"crypto/x509"
	"testing"

	"gsigw/gsi"
)

// nameOf makes a name of one CN, the value as it stands.
func nameOf(tag byte, value string) []byte {
	n := byte(len(value))
	return append([]byte{0x30, n + 11, 0x31, n + 9, 0x30, n + 7, 6, 3, 0x55, 4, 3, tag, n}, value...)
}

func TestSameName_FoldsStringsCaseAndBlanks(t *testing.T) {
	jane := nameOf(0x0c, "Jane Doe")
	for what, test := range map[string]struct {
		name []byte
		same bool
	}{
		"itself":                 {jane, true},
		"a PrintableString":      {nameOf(0x13, "Jane Doe"), true},
		"a T61String":            {nameOf(0x14, "Jane Doe"), true},
		"a BMPString":            {nameOf(0x1e, "\x00J\x00a\x00n\x00e\x00 \x00D\x00o\x00e"), true},
		"in capitals":            {nameOf(0x0c, "JANE DOE"), true},
		"blanks around":          {nameOf(0x0c, " Jane  Doe "), true},
		"no blank":               {nameOf(0x0c, "JaneDoe"), false},
		"another":                {nameOf(0x0c, "Jane Roe"), false},
		"no string":              {nameOf(0x04, "Jane Doe"), false},
		"no name":                {[]byte("Jane Doe"), false},
		"no attribute":           {[]byte{0x30, 0}, false},
		"an empty set beside it": {append(append([]byte{0x30, jane[1] + 2}, jane[2:]...), 0x31, 0), false},
	} {
		if got := gsi.SameName(jane, test.name); got != test.same || got != gsi.SameName(test.name, jane) {
			t.Errorf("%s: %t", what, got)
		}
		if got := gsi.NameKey(jane) == gsi.NameKey(test.name); got != test.same {
			t.Errorf("%s: the keys say %t", what, got)
		}
	}
}

// A legacy proxy is known by its name, which may be written in other strings and another case than its issuer's.
func TestClassify_KnowsALegacyProxyHoweverItsNameIsWritten(t *testing.T) {
	user := nameOf(0x0c, "Jane Doe")
	below := func(issuer []byte, cn string) []byte {
		last := nameOf(0x0c, cn)[2:]
		return append(append([]byte{0x30, issuer[1] + byte(len(last))}, issuer[2:]...), last...)
	}
	for what, test := range map[string]struct {
		subject []byte
		want    gsi.ProxyType
	}{
		"proxy":               {below(user, "proxy"), gsi.Legacy},
		"Proxy":               {below(user, "Proxy"), gsi.Legacy},
		"PROXY":               {below(user, "PROXY"), gsi.Legacy},
		"Limited Proxy":       {below(user, "Limited Proxy"), gsi.LegacyLimited},
		"a PrintableString":   {below(nameOf(0x13, "Jane Doe"), "proxy"), gsi.Legacy},
		"in capitals":         {below(nameOf(0x0c, "JANE DOE"), "proxy"), gsi.Legacy},
		"of somebody else's":  {below(nameOf(0x0c, "Jane Roe"), "proxy"), gsi.EEC},
		"with a word more":    {below(user, "proxy of mine"), gsi.EEC},
		"with a letter less":  {below(user, "prox"), gsi.EEC},
		"two CNs, the second": {below(below(user, "x"), "proxy"), gsi.EEC},
	} {
		got, err := gsi.Classify(&x509.Certificate{RawIssuer: user, RawSubject: test.subject})
		if err != nil || got != test.want {
			t.Errorf("%s: %s, %v", what, got, err)
		}
	}
}
