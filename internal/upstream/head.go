package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

const (
	maxInformational = 5 // 1xx responses before the final one
	unknownLength    = -1
	chunkedLength    = -2
)

// head is the status line and the header fields of a response, and what they say about its body.
type head struct {
	status int
	minor  int // of HTTP/1.x
	header http.Header
	length int64 // in bytes, or unknownLength (until the connection closes), or chunkedLength
}

// readHead reads the head of the final response to a request of this method. It takes what RFC 9112 says a sender
// writes, and nothing of what it lets a lenient recipient repair: bare line feeds (section 2.2), folded fields
// (5.2), white space before a colon (5.1), a length given twice or beside a transfer coding (6.3). Each of them
// is a place where two readers of one byte stream can disagree about where a message ends.
func readHead(r *bufio.Reader, method string, limit int64) (*head, error) {
	for range maxInformational + 1 {
		h, err := readOneHead(r, &limit)
		if err != nil {
			return nil, err
		}
		if h.status >= 200 {
			return h, h.frame(method)
		}
		if err := h.checkInformational(); err != nil {
			return nil, err
		}
	}
	return nil, framingError(fmt.Sprintf("more than %d informational responses", maxInformational))
}

func readOneHead(r *bufio.Reader, budget *int64) (*head, error) {
	line, err := readLine(r, budget)
	if err != nil {
		return nil, err
	}
	h := &head{}
	if err := h.parseStatusLine(line); err != nil {
		return nil, err
	}
	h.header, err = readFields(r, budget)
	return h, err
}

// readLine returns a line without its CRLF. The end of the connection is io.EOF before the line and
// io.ErrUnexpectedEOF in it, with close_notify (which crypto/tls tells apart) or without.
func readLine(r *bufio.Reader, budget *int64) (string, error) {
	line, err := rawLine(r, budget)
	ended := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case ended && len(line) > 0:
		return "", io.ErrUnexpectedEOF
	case ended:
		return "", io.EOF
	case err != nil:
		return "", err
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return "", framingError("a line ends in a bare line feed")
	}
	return text, nil
}

func rawLine(r *bufio.Reader, budget *int64) (line []byte, err error) {
	for err = bufio.ErrBufferFull; err == bufio.ErrBufferFull; {
		var part []byte
		part, err = r.ReadSlice('\n')
		line = append(line, part...)
		if *budget -= int64(len(part)); *budget < 0 {
			return nil, fmt.Errorf("%w http-header", ErrTooLarge)
		}
	}
	return line, err
}

// parseStatusLine takes a missing space after the code, which common servers leave out with the reason.
func (h *head) parseStatusLine(line string) error {
	rest, ok := strings.CutPrefix(line, "HTTP/1.")
	if !ok || len(rest) < 5 || rest[1] != ' ' || !isFieldValue(rest) {
		return framingError(fmt.Sprintf("%.40q is no HTTP/1 status line", line))
	}
	version, code, reason := rest[0], rest[2:5], rest[5:]
	if version != '0' && version != '1' || !isDigits(code) || code < "100" || code > "599" || reason != "" && reason[0] != ' ' {
		return framingError(fmt.Sprintf("%.40q is no HTTP/1 status line", line))
	}
	h.minor = int(version - '0')
	h.status, _ = strconv.Atoi(code)
	return nil
}

// readFields reads header fields up to and with the empty line.
func readFields(r *bufio.Reader, budget *int64) (http.Header, error) {
	fields := http.Header{}
	for {
		line, err := readLine(r, budget)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || line == "" {
			return fields, err
		}
		if line[0] == ' ' || line[0] == '\t' {
			return nil, framingError("a header field is folded over two lines")
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isToken(name) || !isFieldValue(value) {
			return nil, framingError(fmt.Sprintf("%.40q is no header field", line))
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		fields[name] = append(fields[name], value)
	}
}

// frame finds the length of the body (RFC 9112, section 6.3).
func (h *head) frame(method string) error {
	declared, err := h.declaredLength()
	if err != nil {
		return err
	}
	switch {
	case h.status == http.StatusNoContent && (declared == chunkedLength || declared > 0):
		return framingError("a response without content declares a length")
	case method == http.MethodHead, h.status == http.StatusNoContent, h.status == http.StatusNotModified:
		h.length = 0
	default:
		h.length = declared
	}
	return nil
}

func (h *head) declaredLength() (int64, error) {
	lengths, codings := h.header["Content-Length"], h.header["Transfer-Encoding"]
	switch {
	case len(codings) > 0 && len(lengths) > 0:
		return 0, framingError("both Content-Length and Transfer-Encoding are given")
	case len(codings) > 1 || len(codings) == 1 && !strings.EqualFold(codings[0], "chunked"):
		return 0, framingError(fmt.Sprintf("transfer coding %.40q is not taken, only chunked", codings))
	case len(codings) == 1 && h.minor == 0:
		return 0, framingError("HTTP/1.0 with a transfer coding")
	case len(codings) == 1:
		return chunkedLength, nil
	case len(lengths) > 1:
		return 0, framingError("Content-Length is given more than once")
	case len(lengths) == 0:
		return unknownLength, nil
	}
	n, err := strconv.ParseInt(lengths[0], 10, 64)
	if err != nil || !isDigits(lengths[0]) {
		return 0, framingError(fmt.Sprintf("%.40q is no Content-Length", lengths[0]))
	}
	return n, nil
}

// checkInformational refuses a change of protocol, and a 1xx that claims a body: it has none, and what follows
// would be taken for the next response by one reader and for the body by another.
func (h *head) checkInformational() error {
	if h.status == http.StatusSwitchingProtocols {
		return framingError("the service switches protocols unasked")
	}
	if n, err := h.declaredLength(); err != nil || n != unknownLength {
		return framingError(fmt.Sprintf("informational response %d declares a body", h.status))
	}
	return nil
}

// persistent reports whether the connection may carry another call after this response.
func (h *head) persistent() bool {
	if h.minor == 0 || h.length == unknownLength {
		return false
	}
	for _, v := range h.header["Connection"] {
		for option := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.Trim(option, " \t"), "close") {
				return false
			}
		}
	}
	return true
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// isToken: RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool {
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		return !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	}) < 0
}

// isFieldValue: RFC 9110, section 5.5: anything but control characters, of which the tab is allowed.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}
