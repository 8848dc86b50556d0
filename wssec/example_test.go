package wssec_test

import (
	"context"
	"fmt"
	"os"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
	"gsigw/wssec"
)

// Sign a message with a user's proxy, and verify it as the service would.
func Example() {
	proxyFile, trustDir, remove := exampleGrid()
	defer remove()
	request := []byte(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><add xmlns="http://counter.com">5</add></e:Body></e:Envelope>`)

	// The lines from here to the last are in README.md.
	ctx := context.Background()
	user := must(gsi.ProxyFile(proxyFile, gsi.FileOptions{}).Credential(ctx))
	message := must(soap.Read(xmlscan.Memory(request), soap.Limits{}))
	profile := &wssec.GSIMessage{Unanswered: true} // no reply will be held against it
	signed, _, err := profile.Secure(ctx, message, user)
	check(err)

	verifier := &wssec.Verifier{Trust: must(trust.Open(trustDir, trust.Options{}))}
	received := must(soap.Read(signed, soap.Limits{}))
	verified := must(verifier.Verify(ctx, received, wssec.Expect{Role: wssec.Request}))
	fmt.Println(verified.Signer.DN, "says", must(verified.Text()))
	// Output: /O=Grid/OU=gsigw test/CN=Jane Doe says 5
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// exampleGrid makes a CA, a user and the user's proxy.
func exampleGrid() (proxyFile, trustDir string, remove func()) {
	dir := must(os.MkdirTemp("", "gsigw"))
	pki := must(gridtest.NewPKI(dir, gridtest.PKIOptions{}))
	proxyFile = must(pki.WriteProxy("proxy.pem", must(pki.Proxy(gsi.Limits{}))))
	return proxyFile, pki.TrustDir, func() { os.RemoveAll(dir) }
}
