package interop

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os/exec"
	"testing"
)

// The four canonicalisation algorithms, by their URIs.
const (
	exclusive             = "http://www.w3.org/2001/10/xml-exc-c14n#"
	exclusiveWithComments = "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"
	inclusive             = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	inclusiveWithComments = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"
)

// A c14nRequest asks for the canonical form of one element of a document.
type c14nRequest struct {
	doc       []byte
	apex      string // wsu:Id of the apex element; empty: the whole document
	algorithm string
	prefixes  string // InclusiveNamespaces PrefixList
	nestedXML bool   // several ancestors of the apex may bring xml:lang, xml:base, xml:space
}

// An oracle is a running program that canonicalises: java/C14nOracle.java or perl/c14n-oracle.pl, which share the
// protocol that their first comments describe.
type oracle struct {
	name string
	in   io.Writer
	out  *bufio.Reader
}

func santuario(t testing.TB) *oracle {
	jars := []string{"xmlsec.jar", "commons-codec.jar", "slf4j-api.jar", "slf4j-nop.jar", "woodstox-core.jar", "stax2-api.jar"}
	return startOracle(t, "Santuario", javaCommand(t, "C14nOracle", jars, nil))
}

func libxml2(t testing.TB) *oracle {
	need(t, "XML::LibXML")
	return startOracle(t, "libxml2", exec.Command("/usr/bin/perl", "perl/c14n-oracle.pl"))
}

func startOracle(t testing.TB, name string, cmd *exec.Cmd) *oracle {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // both oracles end when their input does
		cmd.Wait()
	})
	return &oracle{name: name, in: in, out: bufio.NewReader(out)}
}

// canonicalize returns the canonical form, or the oracle's reason for refusing the document.
func (o *oracle) canonicalize(r c14nRequest) ([]byte, error) {
	var request []byte
	for _, field := range []string{string(r.doc), r.apex, r.algorithm, r.prefixes} {
		request = binary.BigEndian.AppendUint32(request, uint32(len(field)))
		request = append(request, field...)
	}
	if _, err := o.in.Write(request); err != nil {
		return nil, err
	}
	return o.answer()
}

func (o *oracle) answer() ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(o.out, head[:]); err != nil {
		return nil, err
	}
	field := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(o.out, field); err != nil {
		return nil, err
	}
	if head[0] != 0 {
		return nil, errors.New(string(field))
	}
	return field, nil
}

func (o *oracle) mustCanonicalize(t testing.TB, r c14nRequest, doc string) string {
	t.Helper()
	r.doc = []byte(doc)
	canonical, err := o.canonicalize(r)
	if err != nil {
		t.Fatalf("%s: %v\n%q", o.name, err, doc)
	}
	return string(canonical)
}
