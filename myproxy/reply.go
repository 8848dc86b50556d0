package myproxy

import (
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

// reply is a message from the server: lines of KEY=VALUE. Lines that are not understood are ignored (PROTOCOL, section
// A.8).
type reply struct {
	response string
	lines    []string
}

// parseReply reads a message without its NUL.
func parseReply(text []byte) (*reply, error) {
	r := &reply{lines: strings.Split(string(text), "\n")}
	switch v, n := r.only(keyVersion); {
	case n != 1:
		return nil, protocolError("its reply has %d lines of %s, not one: is it a MyProxy server?", n, keyVersion)
	case v != version:
		return nil, protocolError("its reply is of version %.40q, and %s is spoken here", v, version)
	}
	response, n := r.only(keyResponse)
	if n != 1 {
		return nil, protocolError("its reply has %d lines of %s, not one", n, keyResponse)
	}
	switch response {
	case responseOK, responseError, responseAuthorization:
		r.response = response
		return r, nil
	}
	return nil, protocolError("its reply says %s=%.40q, which means nothing", keyResponse, response)
}

// only returns the value of a key, the first if there are several, and how many there are.
func (r *reply) only(key string) (value string, n int) {
	for _, v := range r.values(key) {
		if n++; n == 1 {
			value = v
		}
	}
	return value, n
}

// value returns the first value of a key, "" without one.
func (r *reply) value(key string) string {
	v, _ := r.only(key)
	return v
}

func (r *reply) values(key string) []string {
	var list []string
	for _, line := range r.lines {
		if rest, ok := strings.CutPrefix(line, key); ok && strings.HasPrefix(rest, "=") {
			list = append(list, rest[1:])
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
