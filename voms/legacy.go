package voms

import (
	"fmt"
	"io"
	"strings"
)

// maxLegacyRequest is what a server reads of a request: one TLS record (VOMS 2, src/socklib/io.cc).
const maxLegacyRequest = 16 << 10

// writeLegacy speaks the protocol of VOMS 1, which VOMS 2 still answers: what GSI sends first, "0" for no delegation, and
// a request in XML. The server answers in XML and closes the connection.
func writeLegacy(_ Server, w *wish) ([]string, error) {
	request := w.xml()
	if len(request) > maxLegacyRequest {
		return nil, fmt.Errorf("the request has %d bytes, and servers read %d: ask for fewer attributes", len(request), maxLegacyRequest)
	}
	return []string{"0", request}, nil
}

// readLegacy finds the end of the answer in its text: a server that closes without a word of TLS is usual.
func readLegacy(conn io.Reader) (*answer, error) {
	data, err := readUntil(conn, "</vomsans>")
	if err != nil {
		return nil, err
	}
	return parseAnswer("vomsans", data)
}

// xml writes the request as voms-proxy-init does (facts/myproxy-voms.md).
func (w *wish) xml() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="US-ASCII"?><voms>`)
	for _, f := range w.fqans {
		fmt.Fprintf(&b, "<command>%s</command>", command(f))
	}
	if len(w.fqans) == 0 {
		b.WriteString("<command>A</command>")
	}
	if len(w.order) > 0 {
		fmt.Fprintf(&b, "<order>%s</order>", commas(w.order, colon))
	}
	if len(w.targets) > 0 {
		fmt.Fprintf(&b, "<targets>%s</targets>", strings.Join(w.targets, ","))
	}
	fmt.Fprintf(&b, "<base64>1</base64><version>4</version><lifetime>%d</lifetime></voms>", w.lifetime)
	return b.String()
}

func command(f FQAN) string {
	if f.Role == "" {
		return "G" + f.Group
	}
	return "B" + colon(f)
}

// colon writes an FQAN as VOMS 1 had it: "/vo/group:role".
func colon(f FQAN) string {
	if f.Role == "" {
		return f.Group
	}
	return f.Group + ":" + f.Role
}
