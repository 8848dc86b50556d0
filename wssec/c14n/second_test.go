package c14n

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"gsigw/soap/xmlscan"
)

// goxmldsig is a second opinion on the messages where its exclusive canonical XML is right (docs/adr/0001): GT4's have
// no attributes in two namespaces whose order it would get wrong, and no references that etree would write otherwise.
func TestWrite_AgreesWithGoxmldsigOnGT4Bodies(t *testing.T) {
	files, err := filepath.Glob("../testdata/gt4/*.xml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	compared := 0
	for _, f := range files {
		doc, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tree := etree.NewDocument()
		if err := tree.ReadFromBytes(doc); err != nil {
			t.Fatal(err)
		}
		want, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("").Canonicalize(tree.Root())
		if err != nil {
			continue // it counts elements, and gives up on many
		}
		compared++
		var got bytes.Buffer
		if err := Write(&got, xmlscan.New(xmlscan.Memory(doc), xmlscan.Limits{}), Method{Exclusive: true}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s\n got %s\nwant %s", f, &got, want)
		}
	}
	if compared < 30 {
		t.Errorf("only %d compared", compared)
	}
}
