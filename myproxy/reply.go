package myproxy

import (
	"bytes"
	"strings"
)

// The keys of a reply.
const (
	keyResponse      = "RESPONSE"
	keyError         = "ERROR"
	keyAuthorization = "AUTHORIZATION_DATA"
	keyAdditional    = "ADDL_CREDS"
)

// What a reply says.
const (
	responseOK            = "0"
	responseError         = "1"
	responseAuthorization = "2"
)

// maxLines bounds those of a reply. Each trust root has one.
const maxLines = 2 * maxRootsFiles

// reply is a message from the server: lines of KEY=VALUE. Lines that are not understood are ignored (PROTOCOL, section
// A.8).
type reply struct {
	response string
	lines    map[string][]string // values by what stands before the first '=', in their order
}

// parseReply reads a message without its NUL.
func parseReply(text []byte) (*reply, error) {
	if n := bytes.Count(text, []byte("\n")); n > maxLines {
		return nil, protocolError("its reply has %d lines; %d are taken", n, maxLines)
	}
	r := &reply{lines: map[string][]string{}}
	for line := range strings.SplitSeq(string(text), "\n") {
		if key, value, ok := strings.Cut(line, "="); ok {
			r.lines[key] = append(r.lines[key], value)
		}
	}
	switch v := r.values(keyVersion); {
	case len(v) != 1:
		return nil, protocolError("its reply has %d lines of %s, not one: is it a MyProxy server?", len(v), keyVersion)
	case v[0] != version:
		return nil, protocolError("its reply is of version %q, and %s is spoken here", v[0], version)
	}
	if n := len(r.values(keyResponse)); n != 1 {
		return nil, protocolError("its reply has %d lines of %s, not one", n, keyResponse)
	}
	switch response := r.value(keyResponse); response {
	case responseOK, responseError, responseAuthorization:
		r.response = response
		return r, nil
	}
	return nil, protocolError("its reply says %s=%q, which means nothing", keyResponse, r.value(keyResponse))
}

// value returns the first value of a key, "" without one.
func (r *reply) value(key string) string {
	if v := r.values(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// values returns all values of a key, which may hold a '=' itself: credentials may be called so.
func (r *reply) values(key string) []string {
	key, more, odd := strings.Cut(key, "=")
	if !odd {
		return r.lines[key]
	}
	var list []string
	for _, v := range r.lines[key] {
		if value, ok := strings.CutPrefix(v, more+"="); ok {
			list = append(list, value)
		}
	}
	return list
}

// offer is one way of authorization that a server takes (PROTOCOL, section A.6).
type offer struct{ method, data string }

func (r *reply) offers() []offer {
	var list []offer
	for _, v := range r.values(keyAuthorization) {
		if method, data, ok := strings.Cut(v, ":"); ok {
			list = append(list, offer{method, data})
		}
	}
	return list
}
