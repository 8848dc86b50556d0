package voms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"gsigw/gsi"
)

// dialError is the failure to reach a server, or to believe it.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dial connects to a server, and makes sure that it is the one that the vomses line means before it learns who asks.
func (c *Client) dial(ctx context.Context, s Server, cred *gsi.Credential) (*tls.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, "tcp", s.Address())
	if err != nil {
		return nil, &dialError{err}
	}
	h := &handshake{client: c, server: s, cred: cred}
	conn := tls.Client(raw, h.config())
	err = conn.HandshakeContext(ctx)
	if err == nil && !h.asked {
		err = errors.New("it asked for no client certificate, so it cannot see who the user is: is this the port of VOMS?")
	}
	if err != nil {
		raw.Close()
		return nil, &dialError{err}
	}
	return conn, nil
}

type handshake struct {
	client *Client
	server Server
	cred   *gsi.Credential
	asked  bool // the server wanted a client certificate
}

func (h *handshake) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		ServerName:             h.server.Host,
		Time:                   h.client.Now,
		InsecureSkipVerify:     true, // together with VerifyConnection, which crypto/tls calls all the same
		VerifyConnection:       h.verify,
		GetClientCertificate:   h.certificate,
		SessionTicketsDisabled: true,
		// A server reads a legacy request in one piece, which is to be one record, however long.
		DynamicRecordSizingDisabled: true,
	}
}

func (h *handshake) verify(state tls.ConnectionState) error {
	peer, err := h.identify(state.PeerCertificates)
	if err != nil {
		return err
	}
	if peer.Independent {
		return fmt.Errorf("the server shows an independent proxy, %s, whose name anybody could have chosen: do not trust this server", peer.DN)
	}
	if !peer.Matches(h.server.DN) {
		return fmt.Errorf("the server is %s, but %s expects %s: correct the vomses line if the server has a new name, or do not trust this server",
			peer.DN, h.server.Source, h.server.DN)
	}
	return nil
}

func (h *handshake) identify(chain []*x509.Certificate) (*gsi.Identity, error) {
	if h.client.Trust == nil {
		return nil, errors.New("no CAs are trusted: name a trust directory")
	}
	return h.client.Trust.Verify(chain, h.client.now())
}

// certificate gives the whole chain, whatever issuers the server says it knows: it names CAs, and the issuer of a
// proxy is never one. crypto/tls calls it after verify.
func (h *handshake) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	h.asked = true
	chain := &tls.Certificate{PrivateKey: gsi.Accelerated(h.cred.Key), Leaf: h.cred.Leaf()}
	for _, cert := range h.cred.Chain {
		chain.Certificate = append(chain.Certificate, cert.Raw)
	}
	return chain, nil
}
