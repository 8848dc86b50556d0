package upstream

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// connectionFields are the dialler's own: they say where a message ends and whose connection it is on.
var connectionFields = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Connection", "Keep-Alive", "Upgrade",
	"Expect", "Accept-Encoding", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate",
}

// requestHead writes the request line and the header fields, in one fixed order.
func requestHead(t *Target, r *Request) ([]byte, error) {
	host, target := hostField(t.URL), requestTarget(t)
	switch {
	case !isToken(r.Method), r.Method == http.MethodConnect:
		return nil, fmt.Errorf("method %q cannot be sent", r.Method)
	case !isVisible(host), strings.ContainsAny(host, `/\?#@<>"`):
		return nil, fmt.Errorf("host %q cannot be sent; write it in ASCII", host)
	case !isVisible(target):
		return nil, fmt.Errorf("%q cannot be sent as a request target; escape it", target)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, target, host)
	if err := writeFields(&b, r.Header); err != nil {
		return nil, err
	}
	if t.Gzip {
		b.WriteString("Accept-Encoding: gzip\r\n")
	} else {
		b.WriteString("Accept-Encoding: identity\r\n")
	}
	if t.Proxy != nil && t.Transport == Plain {
		b.WriteString(proxyAuthorization(t.Proxy.URL))
	}
	writeFraming(&b, r)
	b.WriteString("\r\n")
	return b.Bytes(), nil
}

// hostField is the URL's host as sent: with the port as the URL has it, without an IPv6 zone, which means
// something on this machine only (RFC 6874, section 1).
func hostField(u *url.URL) string {
	host, _, _ := strings.Cut(u.Hostname(), "%")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port() != "" {
		host += ":" + u.Port()
	}
	return host
}

func requestTarget(t *Target) string {
	if t.Proxy == nil || t.Transport != Plain {
		return t.URL.RequestURI()
	}
	absolute := *t.URL
	absolute.Fragment, absolute.RawFragment = "", ""
	return absolute.String()
}

func writeFields(b *bytes.Buffer, h http.Header) error {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !isToken(name) {
			return fmt.Errorf("header field %q cannot be sent", name)
		}
		if slices.Contains(connectionFields, textproto.CanonicalMIMEHeaderKey(name)) {
			return fmt.Errorf("header field %s is the dialler's own", name)
		}
		for _, v := range h[name] {
			if !isFieldValue(v) {
				return fmt.Errorf("the value of header field %s holds a control character", name)
			}
			fmt.Fprintf(b, "%s: %s\r\n", name, v)
		}
	}
	return nil
}

// writeFraming says how long the body is. A POST without one says so: some servers wait for it otherwise
// (RFC 9110, section 8.6).
func writeFraming(b *bytes.Buffer, r *Request) {
	switch {
	case r.Body == nil && (r.Method == http.MethodPost || r.Method == http.MethodPut):
		b.WriteString("Content-Length: 0\r\n")
	case r.Body == nil:
	case r.Length < 0:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	default:
		b.WriteString("Content-Length: " + strconv.FormatInt(r.Length, 10) + "\r\n")
	}
}

func proxyAuthorization(proxy *url.URL) string {
	if proxy.User == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	secret := base64.StdEncoding.EncodeToString([]byte(proxy.User.Username() + ":" + password))
	return "Proxy-Authorization: Basic " + secret + "\r\n"
}

var errBodyLength = errors.New("the request's body is not as long as it said; the request was cut off")

// writeBody sends the body as the head announced it.
func writeBody(w io.Writer, r *Request) error {
	switch {
	case r.Body == nil:
		return nil
	case r.Length < 0:
		return writeChunks(w, r.Body)
	}
	n, err := io.Copy(w, io.LimitReader(r.Body, r.Length))
	if err != nil {
		return err
	}
	if n < r.Length {
		return errBodyLength
	}
	if n, _ := io.ReadFull(r.Body, make([]byte, 1)); n > 0 {
		return errBodyLength
	}
	return nil
}

func writeChunks(w io.Writer, body io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			chunk := slices.Concat(strconv.AppendInt(nil, int64(n), 16), []byte("\r\n"), buf[:n], []byte("\r\n"))
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
		if err == io.EOF {
			_, err := io.WriteString(w, "0\r\n\r\n")
			return err
		}
		if err != nil {
			return err
		}
	}
}
