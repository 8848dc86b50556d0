package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"gsigw/gsi"
	"gsigw/trust"
)

// secure makes a connection of the kind the target asks for out of a TCP connection. It is the one place that
// knows the kinds.
func (c *Client) secure(ctx context.Context, raw *wire, t *Target, addr string) (*conn, error) {
	if t.Transport == Plain {
		return &conn{Conn: raw}, nil
	}
	if t.Proxy != nil {
		if err := tunnel(ctx, raw, t); err != nil {
			return nil, &Error{Op: OpProxy, Addr: addr, Err: err}
		}
	}
	h := &handshake{client: c, target: t}
	secured := tls.Client(raw, h.config())
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, h.failure(ctx, addr, err)
	}
	if t.Transport == GSI && !h.asked {
		return nil, &Error{Op: OpHandshake, Addr: addr, Err: errors.New("the service asked for no client certificate, so it would not see the user; use transport: https if that is meant")}
	}
	raw.secured = true
	return &conn{Conn: secured, peer: h.peer, version: secured.ConnectionState().Version}, nil
}

// handshake is one TLS handshake: what it asks of the server, and what it found.
type handshake struct {
	client *Client
	target *Target

	peer   *gsi.Identity
	reject error // why the server's certificate was not taken
	asked  bool  // the server wanted a client certificate
}

// config leaves all judging of the server to verify, since crypto/x509 cannot walk a grid chain. There is no
// session cache, so that each connection has a certificate to judge; ALPN keeps a server of another protocol
// from answering.
func (h *handshake) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		MaxVersion:             tls.VersionTLS13,
		ServerName:             h.target.URL.Hostname(),
		NextProtos:             []string{"http/1.1"},
		Time:                   h.client.config.Now,
		InsecureSkipVerify:     true, // together with VerifyConnection, which crypto/tls calls all the same
		VerifyConnection:       h.verify,
		GetClientCertificate:   h.certificate,
		SessionTicketsDisabled: true,
	}
}

// certificate gives the whole chain, whatever issuers the server says it knows: it names CAs, and the issuer of a
// proxy is never one. crypto/tls calls it after verify, so no stranger learns who the user is.
func (h *handshake) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	h.asked = true
	if h.target.Transport != GSI {
		return &tls.Certificate{}, nil
	}
	c := h.target.Credential
	chain := &tls.Certificate{PrivateKey: gsi.Accelerated(c.Key), Leaf: c.Chain[0]}
	for _, cert := range c.Chain {
		chain.Certificate = append(chain.Certificate, cert.Raw)
	}
	return chain, nil
}

func (h *handshake) verify(state tls.ConnectionState) error {
	h.peer, h.reject = h.client.identify(h.target, state.PeerCertificates)
	return h.reject
}

func (h *handshake) failure(ctx context.Context, addr string, err error) error {
	if h.reject != nil {
		return &Error{Op: OpIdentity, Addr: addr, Err: h.reject}
	}
	if err == io.EOF {
		err = errors.New("the server closed the connection; does it speak TLS 1.2 or 1.3 on that port?")
	}
	return &Error{Op: OpHandshake, Addr: addr, Err: legError(ctx, err, "the handshake", h.target.Timeouts.Handshake)}
}

// identify says who the server is, and refuses anyone but the one the target expects: by name, the URL's own, or
// by DN. A name is never looked up backwards.
func (c *Client) identify(t *Target, chain []*x509.Certificate) (*gsi.Identity, error) {
	if c.config.Trust == nil {
		return nil, errors.New("no trust anchors are configured")
	}
	peer, err := c.config.Trust.Verify(chain, c.config.Now())
	if err != nil {
		return nil, err
	}
	if peer.Independent {
		return nil, errors.New("the server shows an independent proxy, which speaks for nobody")
	}
	if !servesTLS(peer.EndEntity) {
		return nil, errors.New("the server's certificate is not for servers (extended key usage)")
	}
	host := strings.TrimSuffix(t.URL.Hostname(), ".")
	switch {
	case len(t.PeerDN) > 0 && !slices.ContainsFunc(t.PeerDN, peer.Matches):
		return nil, &PeerMismatch{Expected: t.PeerDN, Seen: peer.DN}
	case len(t.PeerDN) == 0 && !trust.HostMatches(peer.EndEntity, host):
		return nil, &PeerMismatch{Host: host, Seen: peer.DN}
	}
	return peer, nil
}

// servesTLS: RFC 5280, section 4.2.1.12. No extended key usage means any.
func servesTLS(cert *x509.Certificate) bool {
	if len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.ContainsFunc(cert.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageServerAuth || u == x509.ExtKeyUsageAny
	})
}

// refusedByPeer reports whether the peer ended TLS with an alert. With TLS 1.3 its refusal of our certificate
// arrives only after our handshake is done.
func refusedByPeer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
