package demo

import (
	"bytes"
	"context"
	"fmt"
	"strings"
)

// showPrivate makes a call that nobody on the way can read, the service's own TLS front included.
func (s *stage) showPrivate(ctx context.Context, p *printer) error {
	p.chapter("A call that only the service can read")
	p.line("The same engine calls %s, whose route says privacy: true.", s.private.URL())
	engine := *s.engine
	engine.url = strings.Replace(s.private.URL(), "https:", "http:", 1)
	status, reply, err := engine.post(ctx, createAction, createRequest)
	if err != nil || status != 200 || !bytes.Contains(reply, []byte("CounterKey")) {
		return fmt.Errorf("demo: a private call through the gateway: HTTP %d %s %w", status, reply, err)
	}
	seen := <-s.seen
	outline, err := outlineOf(seen.Request)
	if err != nil {
		return err
	}
	p.line("On the wire, inside TLS, Body is ciphertext; the key to it is encrypted to the service's certificate:")
	p.listing(outline)
	if !seen.Encrypted || bytes.Contains(seen.Request, []byte("<createCounter")) || bytes.Contains(seen.Reply, []byte("CounterKey")) {
		return fmt.Errorf("demo: what was to be private could be read: %s %s", seen.Request, seen.Reply)
	}
	p.good("The service read %s from %s, and answered encrypted to the user's proxy.", seen.Operation.Local, seen.Signer)
	return nil
}
