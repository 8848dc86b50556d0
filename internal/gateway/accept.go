package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"gsigw/gsi"
	"gsigw/internal/policy"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

// unverified is a reply to a secured request that is not to be believed. The engine learns no more than that.
type unverified struct{ err error }

func (e *unverified) Error() string { return "gateway: reply: " + e.err.Error() }
func (e *unverified) Unwrap() error { return e.err }

// unsignedFault is a fault that could be anybody's.
type unsignedFault struct{ text string }

func (e *unsignedFault) Error() string { return "gateway: reply: an unsigned fault" }

// badAnswer is an answer that is no SOAP reply.
type badAnswer struct {
	reason string
	quoted string // the beginning of its text
}

func (e *badAnswer) Error() string { return "gateway: reply: " + e.reason }

// accept makes of the service's answer what the engine gets.
func (x *exchange) accept(ctx context.Context, r *received, pending wssec.Pending) (*answer, error) {
	if x.route.Message == policy.MessageNone {
		return x.pass(r)
	}
	if _, ok := pending.(wssec.UnsignedReply); ok {
		return x.passAuthenticated(r)
	}
	if err := checkStatus(r); err != nil {
		return nil, err
	}
	reply, err := x.parcel(r.Header.Get("Content-Type"), r.body)
	if err != nil {
		return nil, &unverified{wssec.ReadError(err)}
	}
	verified, err := pending.Verify(ctx, reply.message, wssec.Expect{
		Role: wssec.Reply, Peer: signer(x.route), Keep: x.route.KeepNamespaces, Encrypted: x.route.Privacy && len(x.route.EncryptElements) == 0,
	})
	if isUnsigned(err) && reply.message.IsFault() {
		return x.acceptFault(r, reply.message)
	}
	if err != nil {
		return nil, &unverified{err}
	}
	return x.verified(r, reply, verified)
}

func isUnsigned(err error) bool {
	e, ok := errors.AsType[*wssec.Error](err)
	return ok && e.Class == wssec.ClassNoSecurity
}

// verified gives the engine what was signed, and nothing else. The status too is taken from it: nobody signed the one
// that came.
func (x *exchange) verified(r *received, reply *parcel, v *wssec.Verified) (*answer, error) {
	if reply.hasAttachments() && !x.route.UnsignedAttachments {
		return nil, &unverified{&wssec.Error{Class: wssec.ClassUnsignedPart, Msg: "the reply has attachments, which no signature covers"}}
	}
	if v.Signer != nil {
		x.facts.peer = v.Signer.DN
	}
	body, err := v.Rebuild(x.route.KeepNamespaces)
	if err != nil {
		return nil, &unverified{err}
	}
	a := &answer{status: http.StatusOK, header: x.replyHeader(r.Header), body: body}
	a.header.Set("Content-Type", reply.message.Version.ContentType())
	if v.IsFault() {
		a.status, x.facts.result = http.StatusInternalServerError, resultFault
	}
	if reply.hasAttachments() {
		return a, x.attach(a, reply)
	}
	return a, nil
}

// acceptFault passes an unsigned fault on where TLS says whose it is.
func (x *exchange) acceptFault(r *received, m *soap.Message) (*answer, error) {
	if !x.authenticated(r.Peer) {
		return nil, &unsignedFault{beginning(text([]byte(m.FaultText())))}
	}
	x.facts.result = resultFault
	return x.asReceived(r), nil
}

// authenticated reports whether the connection's peer is one that may answer.
func (x *exchange) authenticated(peer *gsi.Identity) bool {
	return peer != nil && signer(x.route)(peer) == nil
}

// passAuthenticated takes a reply that nobody signs because the request was not signed: TLS says whose it is.
func (x *exchange) passAuthenticated(r *received) (*answer, error) {
	if !x.authenticated(r.Peer) {
		return nil, &unverified{&wssec.Error{Class: wssec.ClassNoSecurity, Msg: "neither a signature nor TLS says whose the reply is"}}
	}
	return x.pass(r)
}

// pass gives the engine the reply as it came: on a route without message security it is as good as its connection.
// It must be a SOAP message all the same.
func (x *exchange) pass(r *received) (*answer, error) {
	if isEmpty(r) {
		return &answer{status: r.Status, header: x.replyHeader(r.Header), body: text(nil)}, nil
	}
	if err := checkStatus(r); err != nil {
		return nil, err
	}
	reply, err := x.parcel(r.Header.Get("Content-Type"), r.body)
	if e, ok := errors.AsType[*xmlscan.Error](err); ok {
		return nil, &badAnswer{reason: "the service's reply " + e.Msg}
	}
	if err != nil {
		return nil, err
	}
	if reply.message.IsFault() {
		x.facts.result = resultFault
	}
	return x.asReceived(r), nil
}

func (x *exchange) asReceived(r *received) *answer {
	a := &answer{status: r.Status, header: x.replyHeader(r.Header), body: stored{r.body}}
	a.header.Set("Content-Type", r.Header.Get("Content-Type"))
	return a
}

// isEmpty recognises the answer to a one-way message.
func isEmpty(r *received) bool {
	return r.body.Size() == 0 && (r.Status == http.StatusAccepted || r.Status == http.StatusOK || r.Status == http.StatusNoContent)
}

// checkStatus takes 200, and what faults come with (SOAP 1.1, section 6.2; SOAP 1.2 Part 2, table 20).
func checkStatus(r *received) error {
	kind := r.Header.Get("Content-Type")
	version, _, _, err := soap.ParseContentType(kind)
	isSOAP := err == nil && len(r.Header["Content-Type"]) == 1
	switch {
	case r.Status == http.StatusOK || r.Status == http.StatusInternalServerError:
	case r.Status == http.StatusBadRequest && version == soap.V12:
	default:
		return &badAnswer{fmt.Sprintf("the service answered HTTP %d", r.Status), excerpt(r)}
	}
	if !isSOAP {
		return &badAnswer{fmt.Sprintf("the service answered HTTP %d with %s", r.Status, described(r, kind)), excerpt(r)}
	}
	return nil
}

func described(r *received, kind string) string {
	switch {
	case r.body.Size() == 0:
		return "nothing"
	case kind == "":
		return "something that has no Content-Type"
	}
	return fmt.Sprintf("the Content-Type %.80q, which is not SOAP's", kind)
}

// excerpt is the beginning of an answer that is text, for people.
func excerpt(r *received) string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isText := strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "xml") || strings.HasSuffix(media, "json")
	if err != nil || !isText {
		return ""
	}
	return beginning(stored{r.body})
}

// beginning is as much of somebody else's text as is quoted: the whole could be a message of its own in length.
func beginning(all content) string {
	const most = 1 << 10
	start := first(all, most)
	for len(start) > 0 && int64(len(start)) < all.Size() && !utf8.Valid(start) && most-len(start) < utf8.UTFMax {
		start = start[:len(start)-1] // not through a character
	}
	return strings.ToValidUTF8(string(start), "\uFFFD")
}

// attach puts a verified reply back among its attachments.
func (x *exchange) attach(a *answer, reply *parcel) error {
	root, err := x.made(func(w io.Writer) error { _, err := a.body.WriteTo(w); return err })
	if err != nil {
		return err
	}
	packed, err := x.made(func(w io.Writer) error {
		contentType, err := reply.parts.Write(w, &soap.Message{Source: root, Version: reply.message.Version})
		a.header.Set("Content-Type", contentType)
		return err
	})
	a.body = stored{packed}
	return err
}
