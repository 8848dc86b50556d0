package soap

import (
	"fmt"
	"mime"
	"strings"

	"gsigw/soap/xmlscan"
)

// The media types that an envelope travels under.
const (
	typeXML     = "text/xml"             // SOAP 1.1
	typeSOAP    = "application/soap+xml" // SOAP 1.2 (RFC 3902)
	typeXOP     = "application/xop+xml"  // either, as the root of an XOP package
	typeRelated = "multipart/related"    // RFC 2387
)

// ParseContentType reads the Content-Type of an HTTP message that carries SOAP: text/xml, application/soap+xml, or
// multipart/related around either. version is zero for a multipart/related that does not tell (ReadMultipart does);
// action is the action parameter of SOAP 1.2. A charset other than UTF-8 is an error, and so is every other type.
func ParseContentType(v string) (version Version, action string, multipart bool, err error) {
	t, err := parseMedia(v)
	if err != nil {
		return 0, "", false, err
	}
	if t.name != typeRelated {
		version, action, err = t.envelope()
		return version, action, false, err
	}
	root, err := t.promisedRoot()
	if err != nil || root.name == "" {
		return 0, t.params["action"], true, err
	}
	if version, action, err = root.envelope(); t.params["action"] != "" {
		action = t.params["action"]
	}
	return version, action, true, err
}

// media is a media type with its parameters; the zero value is one that was not given.
type media struct {
	name   string
	params map[string]string
}

func parseMedia(v string) (media, error) {
	name, params, err := mime.ParseMediaType(v)
	if err != nil {
		return media{}, malformed("has the Content-Type %q, which is malformed", clipped(v))
	}
	return media{name, params}, nil
}

// promisedRoot is what multipart/related says of its root part, zero where it says nothing (RFC 2387, section 3.1;
// XOP 1.0, section 4.1: start-info is the type of the envelope).
func (t media) promisedRoot() (media, error) {
	if t.params["type"] == "" {
		return media{}, nil
	}
	root, err := parseMedia(t.params["type"])
	if err != nil {
		return media{}, err
	}
	if root.name == typeXOP && root.params["type"] == "" && t.params["start-info"] != "" {
		root.params["type"] = t.params["start-info"]
	}
	return root, nil
}

// envelope is the version of SOAP that the type stands for, zero for an XOP type that does not tell.
func (t media) envelope() (v Version, action string, err error) {
	if cs, ok := t.params["charset"]; ok && !strings.EqualFold(cs, "utf-8") {
		return 0, "", refusal(xmlscan.Encoding, "is declared to be in %q; send UTF-8", clipped(cs))
	}
	switch t.name {
	case typeXML:
		return V11, "", nil
	case typeSOAP:
		return V12, t.params["action"], nil
	case typeXOP:
		return t.packed()
	}
	return 0, "", malformed("has the Content-Type %q; send text/xml, application/soap+xml or multipart/related", clipped(t.name))
}

func (t media) packed() (v Version, action string, err error) {
	if t.params["type"] == "" {
		return 0, "", nil
	}
	inner, err := parseMedia(t.params["type"])
	if err != nil {
		return 0, "", err
	}
	if inner.name == typeXOP {
		return 0, "", malformed("has an XOP package in an XOP package")
	}
	return inner.envelope()
}

func clipped(s string) string { return fmt.Sprintf("%.80s", s) }
