package gss

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	recordHeader  = 5
	maxRecord     = 1<<14 + 2048 // of a record's body: RFC 5246, section 6.2.3
	maxToken      = 1 << 24      // globus_gss_assist_token_get_fd
	lengthHeader  = 4
	integrityOnly = 26 // SSL3_RT_GSSAPI_OPENSSL: a MIC and a message in the clear
)

// checkRecords refuses a token that is anything but whole TLS records.
func checkRecords(token []byte) error {
	if len(token) == 0 {
		return errors.New("gss: the token is empty")
	}
	if len(token) > maxToken {
		return fmt.Errorf("gss: a token of %d bytes; at most %d are taken", len(token), maxToken)
	}
	for len(token) > 0 {
		if len(token) < recordHeader {
			return errors.New("gss: the token ends within a TLS record")
		}
		n, err := recordLength(token)
		if err != nil {
			return err
		}
		if n > len(token) {
			return errors.New("gss: the token ends within a TLS record")
		}
		token = token[n:]
	}
	return nil
}

// looksLikeRecord is how Globus tells a TLS record from a length (gss_assist, tokens_f.c).
func looksLikeRecord(b []byte) bool { return b[0] >= 20 && b[0] <= integrityOnly && b[1] == 3 }

// recordLength returns the length of the record that starts with this header.
func recordLength(header []byte) (int, error) {
	n := int(binary.BigEndian.Uint16(header[3:]))
	switch {
	case !looksLikeRecord(header):
		return 0, fmt.Errorf("gss: the token is no TLS record: it starts with % x", header[:recordHeader])
	case header[0] == integrityOnly:
		return 0, errors.New("gss: the token is signed but not sealed (GSS_C_CONF_FLAG off); only sealed ones are taken")
	case n > maxRecord:
		return 0, fmt.Errorf("gss: a TLS record of %d bytes; at most %d are allowed", n, maxRecord)
	}
	return recordHeader + n, nil
}

// tokenLimit allows for what TLS adds to a message.
func tokenLimit(limit int) int { return limit + limit/16 + 2*maxRecord }

// readToken reads one TLS record, or the token that a length of four bytes announces.
func readToken(r *bufio.Reader, limit int) ([]byte, error) {
	header, err := r.Peek(recordHeader)
	if err != nil {
		return nil, ended(err)
	}
	n, err := tokenLength(header)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, ErrTooLong
	}
	if !looksLikeRecord(header) {
		r.Discard(lengthHeader)
	}
	// A length is quickly said: memory is for what has come.
	var token bytes.Buffer
	if _, err := io.CopyN(&token, r, int64(n)); err != nil {
		return nil, ended(err)
	}
	return token.Bytes(), nil
}

func tokenLength(header []byte) (int, error) {
	if looksLikeRecord(header) {
		return recordLength(header)
	}
	n := binary.BigEndian.Uint32(header)
	if n > maxToken {
		return 0, fmt.Errorf("gss: the peer does not speak GSI: it says %q", header)
	}
	return int(n), nil
}

// ended: only close_notify is an orderly end.
func ended(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("gss: the peer closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("gss: receive: %w", err)
}
