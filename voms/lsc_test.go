package voms

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseLSC_ReadsChains(t *testing.T) {
	const one, two = "/C=IT/O=INFN/CN=voms.example.org", "/C=IT/O=INFN/CN=INFN CA"
	for _, test := range []struct {
		name, in string
		chains   int
		names    int // in the first
	}{
		{"one certificate", one + "\n" + two, 1, 1},
		{"two certificates", one + "\n" + two + "\n" + two + "\n" + two + "\n", 1, 2},
		{"alternatives", one + "\n" + two + "\n------NEXT CHAIN------\n" + two + "\n" + two + "\n", 2, 1},
		{"alternatives as the C library writes them", one + "\n" + two + "\n------ NEXT CHAIN ------\n" + two + "\n" + two + "\n", 2, 1},
		{"a separator at the end", one + "\n" + two + "\n------NEXT CHAIN------\n", 1, 1},
		{"comments, blank lines and CRLF", "# us\r\n\r\n " + one + " \r\n#\r\n" + two + "\r\n", 1, 1},
	} {
		list, err := parseLSC([]byte(test.in))
		if err != nil || len(list) != test.chains || len(list[0]) != test.names {
			t.Errorf("%s: %v, %v", test.name, list, err)
		}
	}
}

func TestParseLSC_NamesTheLineAndTheRemedy(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", "write the authority's subject"},
		{"# nothing\n\n", "write the authority's subject"},
		{"------NEXT CHAIN------\n", "write the authority's subject"},
		{"/CN=a\n", "line 1: a chain has an odd number of DNs: write for each"},
		{"/CN=a\n/CN=b\n/CN=c\n------NEXT CHAIN------\n/CN=a\n/CN=b\n", "line 4: a chain has an odd number"},
		{"/CN=a\nCN=b\n", `line 2: "CN=b" is not a DN that begins with '/'`},
		{"/CN=a\n/CN=b\nnonsense\n", "line 3: "},
		{"/CN=a\n/nonsense\n", "line 2: gsi: "},
		{"-----BEGIN CERTIFICATE-----\n", "line 1: "},
		{"/CN=a\x00b\n/CN=c\n/CN=\xff", "odd"},
	} {
		if _, err := parseLSC([]byte(test.in)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v", test.in, err)
		}
	}
}

func FuzzParseLSC(f *testing.F) {
	files, _ := filepath.Glob("testdata/peerlab/vomsdir/*/*.lsc")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("/CN=a\n/CN=b\n------NEXT CHAIN------\n# c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseLSC(data)
		if (err == nil) != (len(list) > 0) {
			t.Error(list, err)
		}
		for _, chain := range list {
			if len(chain) == 0 {
				t.Error("a chain without certificates matches any without")
			}
		}
	})
}
