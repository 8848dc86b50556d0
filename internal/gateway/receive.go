package gateway

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"

	"gsigw/soap"
	"gsigw/soap/spool"
	"gsigw/soap/xmlscan"
)

// parcel is a SOAP message with what travels beside it.
type parcel struct {
	message     *soap.Message
	contentType string          // as received
	body        xmlscan.Source  // as received, unpacked; nil once the message is another
	parts       *soap.Multipart // nil for a plain message; its Attachments are those that are not part of the message
}

func (p *parcel) hasAttachments() bool { return p.parts != nil && len(p.parts.Attachments) > 0 }

// malformed is a request that no service should have to read. The reason is for the engine.
type malformed struct {
	reason string
	tooBig bool
}

func (e *malformed) Error() string { return "gateway: " + e.reason }

// unreadable is a request that is no SOAP message; the source is for the place.
type unreadable struct {
	source xmlscan.Source
	err    error
}

func (e *unreadable) Error() string { return "gateway: request: " + e.err.Error() }
func (e *unreadable) Unwrap() error { return e.err }

// receive reads the engine's message; a GET has none.
func (x *exchange) receive() (*parcel, error) {
	if x.request.Method == http.MethodGet {
		return nil, nil
	}
	h := x.request.Header
	for _, name := range []string{"Content-Type", "SOAPAction", "Content-Encoding"} {
		if len(h.Values(name)) > 1 {
			return nil, &malformed{reason: "the request has more than one " + name + " header"}
		}
	}
	version, _, _, err := soap.ParseContentType(h.Get("Content-Type"))
	if strings.Contains(h.Get("Content-Type"), "application/soap+xml") {
		version = soap.V12
	}
	x.version = max(version, soap.V11)
	if err != nil {
		return nil, &unreadable{nil, err}
	}
	body, err := x.body()
	if err != nil {
		return nil, err
	}
	x.trace.received(stored{body})
	p, err := x.parcel(h.Get("Content-Type"), body)
	if err != nil {
		x.version = versionOf(body, x.Limits.Message, x.version)
		return nil, &unreadable{body, err}
	}
	x.version = p.message.Version
	if action := strings.Trim(h.Get("SOAPAction"), ` "`); action != "" {
		p.message.SOAPAction = action
	}
	return p, nil
}

// body reads the request's body, unpacked, up to the limit of a message.
func (x *exchange) body() (xmlscan.Source, error) {
	counted := &counter{r: x.request.Body}
	defer func() { x.facts.bytesIn = counted.n }()
	var r io.Reader = counted
	switch coding := strings.ToLower(x.request.Header.Get("Content-Encoding")); coding {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, bodyError(err)
		}
		r = z
	default:
		return nil, &malformed{reason: fmt.Sprintf("the request has the content coding %.40q, and only gzip is read", coding)}
	}
	body, err := x.spooled(r, x.messageLimit())
	if err != nil {
		return nil, bodyError(err)
	}
	return body, nil
}

// messageLimit is soap's own default where the config has none.
func (x *exchange) messageLimit() int64 {
	if n := x.Limits.Message.MessageBytes; n > 0 {
		return n
	}
	return 32 << 20
}

func tooBig(limit int64) error {
	return &malformed{reason: fmt.Sprintf("the message exceeds the limit message of %d", limit), tooBig: true}
}

func bodyError(err error) error {
	if _, ok := errors.AsType[*spool.Error](err); ok {
		return err
	}
	if l, ok := errors.AsType[*spool.LimitError](err); ok {
		return tooBig(l.Limit)
	}
	if m, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooBig(m.Limit)
	}
	reason := "the request's body ended early, or is not packed as it says"
	if errors.Is(err, os.ErrDeadlineExceeded) {
		reason = "the request's body came too slowly"
	}
	return &malformed{reason: reason}
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// parcel reads a message of either direction. An XOP package becomes the plain message that it stands for. A type that
// speaks of another version of SOAP than the envelope does is refused: it would be two messages to two readers.
func (x *exchange) parcel(contentType string, body xmlscan.Source) (*parcel, error) {
	version, action, multipart, err := soap.ParseContentType(contentType)
	if err != nil {
		return nil, err
	}
	p := &parcel{contentType: contentType, body: body}
	if multipart {
		return p, p.unpack(action, x.Limits.Message, x.keep)
	}
	if p.message, err = soap.Read(body, x.Limits.Message); err != nil {
		return nil, err
	}
	if p.message.Version != version {
		return nil, refusal("has the Content-Type %.80q, and the envelope of another version of SOAP", contentType)
	}
	p.message.SOAPAction = action
	return p, nil
}

func (p *parcel) unpack(action string, l soap.Limits, keep soap.Keep) (err error) {
	if p.parts, err = soap.ReadMultipart(p.contentType, whole(p.body), l, keep); err != nil {
		return err
	}
	p.message = p.parts.Root
	if own := p.message.SOAPAction; own != "" && action != "" && own != action {
		return refusal("names the action %.80q, and its root part %.80q", action, own)
	} else if own != "" {
		p.contentType = withAction(p.contentType, own)
	}
	if p.parts.XOP {
		p.message, p.parts.Attachments, err = soap.InlineXOP(p.message, p.parts.Attachments)
	}
	if err == nil && action != "" {
		p.message.SOAPAction = action
	}
	return err
}

// withAction lets policy see an action that only the root part's type names.
func withAction(contentType, action string) string {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["action"] != "" {
		return contentType
	}
	params["action"] = action
	return mime.FormatMediaType(media, params)
}

func refusal(format string, args ...any) error {
	return &xmlscan.Error{Class: xmlscan.Malformed, Offset: xmlscan.NoPlace, Msg: fmt.Sprintf(format, args...)}
}

// versionOf looks at the root element of a message that could not be read.
func versionOf(source xmlscan.Source, l soap.Limits, otherwise soap.Version) soap.Version {
	s := xmlscan.New(source, l.Limits)
	for {
		kind, err := s.Next()
		if err != nil || kind == xmlscan.EOF {
			return otherwise
		}
		if kind != xmlscan.StartElement {
			continue
		}
		switch s.URI(s.Space) {
		case soap.Envelope11:
			return soap.V11
		case soap.Envelope12:
			return soap.V12
		}
		return otherwise
	}
}
