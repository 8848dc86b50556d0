// Package demo shows the gateway at work, without network, root or set-up: it verifies a genuine GT4 message, then makes
// a grid of its own on loopback (CA, host, user, proxy; a strict stand-in for a GT4 service; the gateway itself) and
// sends an engine's plain call through it.
//
//	err := demo.Run(ctx, demo.Options{Out: os.Stdout, Colour: true})
//
// It fails when anything goes otherwise than it should: what it prints has happened.
package demo

import (
	"context"
	"fmt"
	"html"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

// Options of a demo.
type Options struct {
	Out    io.Writer
	Colour bool // with ANSI escapes
	Serve  bool // keep everything up until the context ends
	Watch  *Watch
}

// Watch lets a test see all that travels, and what must not travel.
type Watch struct {
	Conn func(net.Conn) net.Conn // wraps the engine's connections, and the service's both outside and inside of TLS
	Keys func(...*gsi.Credential)
}

// Run shows everything, and with Serve stays until ctx ends.
func Run(ctx context.Context, o Options) error {
	p := &printer{w: o.Out, colour: o.Colour}
	p.line("Everything here is made for the occasion and stays on this machine.")
	if err := showCapture(ctx, p); err != nil {
		return err
	}
	s, err := setUp(ctx, p, o.Watch)
	if err != nil {
		return err
	}
	defer s.close()
	call, err := s.showCall(ctx, p)
	if err != nil {
		return err
	}
	if err := s.showTampered(ctx, p, call); err != nil {
		return err
	}
	if err := s.showPrivate(ctx, p); err != nil {
		return err
	}
	kept, err := s.showCheck(p, call)
	if err != nil {
		return err
	}
	if o.Serve {
		return s.serve(ctx, p, kept)
	}
	p.line("")
	p.good("Done. To keep it up and call it yourself: gsigw demo --serve")
	return nil
}

// call is one call as it was seen at each end.
type call struct {
	request []byte // what the engine sent
	seen    gridtest.Seen
	reply   []byte // what the engine got
}

// showCall makes a counter, adds to it, and shows the second call from all sides.
func (s *stage) showCall(ctx context.Context, p *printer) (*call, error) {
	p.chapter("An engine's call")
	status, reply, err := s.engine.post(ctx, createAction, createRequest)
	if err != nil || status != 200 {
		return nil, fmt.Errorf("demo: createCounter through the gateway: HTTP %d %s %w", status, reply, err)
	}
	<-s.seen
	c := &call{request: fmt.Appendf(nil, addRequest, between(string(reply), "<CounterKey>", "<"))}
	p.line("The engine sends plain SOAP through its HTTP proxy. It has no key, no certificate, no grid library:")
	p.listing(fmt.Sprintf("POST %s\n%s", s.engine.url, c.request))
	status, c.reply, err = s.engine.post(ctx, addAction, c.request)
	if err != nil || status != 200 {
		return nil, fmt.Errorf("demo: add through the gateway: HTTP %d %s %w", status, c.reply, err)
	}
	c.seen = <-s.seen
	return c, s.showSides(p, c)
}

func (s *stage) showSides(p *printer, c *call) error {
	outline, err := outlineOf(c.seen.Request)
	if err != nil {
		return err
	}
	p.line("On the wire to %s, inside TLS (abridged; + marks what is signed):", s.service.URL())
	p.listing(outline)
	if c.seen.Signer != gridtest.UserName {
		return fmt.Errorf("demo: the service saw %q", c.seen.Signer)
	}
	p.good("The service saw the user: %s", c.seen.Signer)
	if outline, err = outlineOf(c.reply); err != nil {
		return err
	}
	if strings.Contains(string(c.reply), "Signature") {
		return fmt.Errorf("demo: the engine got a signature")
	}
	p.line("The service signed its reply as %s. Verified, the engine gets plain SOAP again:", gridtest.HostName)
	p.listing(outline)
	return nil
}

// showTampered has somebody change a reply on its way.
func (s *stage) showTampered(ctx context.Context, p *printer, c *call) error {
	p.chapter("A reply changed on its way")
	p.line("The same call again; but now one digit of the reply is changed after the service signed it.")
	s.service.Misbehave(gridtest.TamperBody)
	defer s.service.Misbehave("")
	status, reply, err := s.engine.post(ctx, addAction, c.request)
	if err != nil {
		return err
	}
	<-s.seen
	fault := html.UnescapeString(between(string(reply), "<faultstring>", "</faultstring>"))
	if status != 500 || fault == "" || strings.Contains(string(reply), "addResponse") {
		return fmt.Errorf("demo: the changed reply came through: HTTP %d %s", status, reply)
	}
	p.bad("Refused. The engine gets HTTP 500 and a SOAP fault: %s", fault)
	return nil
}

// showCheck keeps the signed message, and says how to check it without us.
func (s *stage) showCheck(p *printer, c *call) (dir string, err error) {
	p.chapter("Check it yourself")
	if dir, err = os.MkdirTemp("", "gsigw-demo-"); err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	for name, data := range map[string][]byte{"signed.xml": c.seen.Request, "signer.pem": s.signer, "request.xml": createRequest} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return "", fmt.Errorf("demo: %w", err)
		}
	}
	p.line("The message as it went out is kept in %s. xmlsec1, a stranger to gsigw, says OK to it:", dir)
	p.listing(xmlsec1Line(dir))
	return dir, nil
}

// xmlsec1Line says to xmlsec1 which elements have ids, and whose key signed.
func xmlsec1Line(dir string) string {
	const wsu = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	const soap = "http://schemas.xmlsoap.org/soap/envelope/"
	const wsa = "http://schemas.xmlsoap.org/ws/2004/03/addressing"
	elements := []string{wsu + ":Timestamp", soap + ":Body", wsa + ":MessageID", wsa + ":To", wsa + ":Action", wsa + ":From", "http://counter.com:CounterKey"}
	var b strings.Builder
	fmt.Fprintf(&b, "xmlsec1 --verify --pubkey-cert-pem %s", filepath.Join(dir, "signer.pem"))
	for _, e := range elements {
		fmt.Fprintf(&b, " \\\n  --id-attr:Id %s", e)
	}
	fmt.Fprintf(&b, " \\\n  %s", filepath.Join(dir, "signed.xml"))
	return b.String()
}

// serve keeps everything up, and says how to use it.
func (s *stage) serve(ctx context.Context, p *printer, kept string) error {
	host, port, err := net.SplitHostPort(s.engine.proxy)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	p.chapter("Now you")
	p.line("Gateway and service stay up until Ctrl-C. A call of your own:")
	p.listing(fmt.Sprintf("curl --proxy http://%s --noproxy '' -H 'Content-Type: text/xml; charset=utf-8' \\\n  -H 'SOAPAction: \"%s\"' \\\n  --data-binary @%s %s",
		s.engine.proxy, createAction, filepath.Join(kept, "request.xml"), s.engine.url))
	p.line("For an engine in a JVM, run under your own user:")
	p.listing(fmt.Sprintf("-Dhttp.proxyHost=%s -Dhttp.proxyPort=%s -Dhttp.nonProxyHosts=", host, port))
	p.line("and call %s", s.engine.url)
	for {
		select {
		case seen := <-s.seen:
			p.good("The service took %s from %s", seen.Operation.Local, seen.Signer)
		case err := <-s.ended:
			s.ended <- err
			return err
		case <-ctx.Done():
			return nil
		}
	}
}
