package myproxy

import (
	"bytes"
	"crypto/x509"
	"errors"
)

// Limits on what a server may send.
const (
	maxReply        = 1 << 20  // bytes in one exchange, all messages together
	maxRootsReply   = 48 << 20 // bytes in one that brings trust roots, which come in base64
	maxCertificates = 32       // in a chain
	maxDER          = 128 << 10
)

// stream reads messages off the channel, which does not frame them: a long message comes in several records, and what
// follows a chain may come with it in one. Texts end with a NUL, everything else is DER.
type stream struct {
	receive func(limit int) ([]byte, error)
	pending []byte // received and not yet read
	left    int    // how many bytes more are taken
}

// fill gets more from the channel.
func (s *stream) fill() error {
	if s.left <= 0 {
		return errTooMuch
	}
	b, err := s.receive(s.left)
	if err != nil {
		return err
	}
	s.pending, s.left = append(s.pending, b...), s.left-len(b)
	return nil
}

// errTooMuch says that the server sends more than the limit.
var errTooMuch = protocolError("it sends more than is taken")

// peek returns the next byte without reading it.
func (s *stream) peek() (byte, error) {
	for len(s.pending) == 0 {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	return s.pending[0], nil
}

func (s *stream) take(n int) ([]byte, error) {
	for len(s.pending) < n {
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
	b := s.pending[:n:n]
	s.pending = s.pending[n:]
	return b, nil
}

// text reads up to the NUL, and leaves it out.
func (s *stream) text() ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(s.pending[seen:], 0); i >= 0 {
			b, err := s.take(seen + i + 1)
			return b[:len(b)-1], err
		}
		seen = len(s.pending)
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
}

// sequence reads one DER SEQUENCE.
func (s *stream) sequence() ([]byte, error) {
	head, err := s.take(2)
	if err != nil {
		return nil, err
	}
	if head[0] != 0x30 {
		return nil, protocolError("it sends no DER where a certificate or a request should be")
	}
	size := int(head[1])
	if more := size - 0x80; more >= 0 {
		if more == 0 || more > 3 {
			return nil, protocolError("it sends DER of a length that no certificate has")
		}
		octets, err := s.take(more)
		if err != nil {
			return nil, err
		}
		head, size = append(head, octets...), 0
		for _, b := range octets {
			size = size<<8 | int(b)
		}
	}
	if size > maxDER {
		return nil, protocolError("it sends a certificate or request of %d bytes; %d are taken", size, maxDER)
	}
	body, err := s.take(size)
	return append(head, body...), err
}

// chain reads certificates: how many there are, in one byte, and each in DER (PROTOCOL, section A.7).
func (s *stream) chain() ([]*x509.Certificate, error) {
	count, err := s.take(1)
	if err != nil {
		return nil, err
	}
	n := int(count[0])
	if n == 0 || n > maxCertificates {
		return nil, protocolError("it announces a chain of %d certificates; 1 to %d are taken", n, maxCertificates)
	}
	chain := make([]*x509.Certificate, n)
	for i := range chain {
		der, err := s.sequence()
		if err != nil {
			return nil, err
		}
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, protocolError("certificate %d of its chain does not parse: %w", i+1, err)
		}
	}
	return chain, nil
}

// encodeChain writes certificates as [stream.chain] reads them.
func encodeChain(chain []*x509.Certificate) ([]byte, error) {
	if len(chain) > maxCertificates {
		return nil, errors.New("myproxy: the chain of the credential has too many certificates")
	}
	out := []byte{byte(len(chain))}
	for _, cert := range chain {
		out = append(out, cert.Raw...)
	}
	return out, nil
}
