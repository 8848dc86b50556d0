package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
	"gsigw/wssec"
)

//go:embed testdata/gt4
var gt4 embed.FS

const captureFile = "testdata/gt4/02-msg-sig.02-addRequest.request.xml"

// captureTime is when the client signed.
var captureTime = time.Date(2026, 11, 21, 18, 49, 52, 0, time.UTC)

// showCapture verifies what a GT4 client signed, and refuses it changed.
func showCapture(ctx context.Context, p *printer) error {
	p.chapter("A genuine message")
	message, err := gt4.ReadFile(captureFile)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	v, err := captureVerifier()
	if err != nil {
		return err
	}
	p.line("A client of Globus Toolkit 4.0.3 signed this call on %s. As of then:", captureTime.Format("2 January 2006 at 15:04:05 UTC"))
	verified, err := verify(ctx, v, message)
	if err != nil {
		return fmt.Errorf("demo: the genuine capture was refused: %w", err)
	}
	text, err := verified.Text()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	p.good("Signed by %s, with a proxy certificate of type %s", verified.Signer.DN, verified.Signer.Type)
	p.line("What was signed: %s. The Body says: %s %s", names(verified.Parts()), verified.Operation().Local, text)
	changed := bytes.Replace(message, []byte(">5</add>"), []byte(">6</add>"), 1)
	_, err = verify(ctx, v, changed)
	refusal, ok := errors.AsType[*wssec.Error](err)
	if !ok || refusal.Class != wssec.ClassDigest {
		return fmt.Errorf("demo: the changed capture was not refused as it should be: %w", err)
	}
	p.bad("With one character changed, the 5 to a 6: refused, %s", refusal)
	return nil
}

func verify(ctx context.Context, v *wssec.Verifier, message []byte) (*wssec.Verified, error) {
	m, err := soap.Read(xmlscan.Memory(message), soap.Limits{})
	if err != nil {
		return nil, err
	}
	return v.Verify(ctx, m, wssec.Expect{Role: wssec.Request})
}

// captureVerifier trusts the CA of the capture's run, as of its time. The store holds what it read: the directory can go.
func captureVerifier() (*wssec.Verifier, error) {
	dir, err := os.MkdirTemp("", "gsigw-demo-")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	defer os.RemoveAll(dir)
	certificates, err := fs.Sub(gt4, "testdata/gt4/certificates")
	if err == nil {
		err = os.CopyFS(filepath.Join(dir, "certificates"), certificates)
	}
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	store, err := trust.Open(filepath.Join(dir, "certificates"), trust.Options{})
	if err != nil {
		return nil, err
	}
	return &wssec.Verifier{
		Trust: store, Now: func() time.Time { return captureTime }, Algorithms: wssec.Algorithms{SHA1: true},
	}, nil
}

func names(list []soap.Name) string {
	var locals []string
	for _, n := range list {
		locals = append(locals, n.Local)
	}
	return strings.Join(locals, ", ")
}
