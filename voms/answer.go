package voms

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// answer is what a server answered over either protocol.
type answer struct {
	ac       []byte // DER; nil when the messages are a refusal
	messages []Message
}

// xmlAnswer has the elements of both: a legacy error has items with numbers, one over REST has a word for a code.
type xmlAnswer struct {
	XMLName xml.Name
	AC      []string `xml:"ac"`
	Errors  []struct {
		Items []struct {
			Number  string `xml:"number"`
			Message string `xml:"message"`
		} `xml:"item"`
		Code    string `xml:"code"`
		Message string `xml:"message"`
	} `xml:"error"`
	Warnings []string `xml:"warning"`
}

func parseAnswer(root string, data []byte) (*answer, error) {
	var x xmlAnswer
	if err := unmarshal(data, &x); err != nil {
		return nil, fmt.Errorf("the answer is not what VOMS servers write: %w: it begins %s", brief(err), excerpt(string(data)))
	}
	if x.XMLName.Local != root || x.XMLName.Space != "" {
		return nil, fmt.Errorf("the answer is no <%s>: it begins %s", root, excerpt(string(data)))
	}
	a := &answer{messages: x.messages()}
	if slices.ContainsFunc(a.messages, Message.isError) || len(a.messages) > 0 && len(x.AC) == 0 {
		return a, nil // what stands in place of the certificate is no matter
	}
	if len(x.AC) != 1 {
		return nil, fmt.Errorf("the answer has %d attribute certificates and no error", len(x.AC))
	}
	var err error
	a.ac, err = decodeAC(x.AC[0])
	return a, err
}

// unmarshal takes no document type and nothing after the root element.
func unmarshal(data []byte, x *xmlAnswer) error {
	d := xml.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(data, []byte("?"))))
	d.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "US-ASCII") {
			return r, nil
		}
		return nil, fmt.Errorf("it is in %s", excerpt(charset))
	}
	if err := xml.NewTokenDecoder(plain{d}).Decode(x); err != nil {
		return err
	}
	for {
		token, err := plain{d}.Token()
		switch t := token.(type) {
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return errors.New("text follows it")
			}
		case xml.Comment, xml.ProcInst, nil:
		default:
			return errors.New("another element follows it")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// plain refuses document types, and with them entities.
type plain struct{ *xml.Decoder }

func (p plain) Token() (xml.Token, error) {
	token, err := p.Decoder.Token()
	if _, ok := token.(xml.Directive); ok {
		return nil, errors.New("it has a document type")
	}
	return token, err
}

func (x *xmlAnswer) messages() []Message {
	var messages []Message
	for _, e := range x.Errors {
		for _, item := range e.Items {
			messages = append(messages, newMessage(codeOf(item.Number), item.Message))
		}
		if len(e.Items) == 0 {
			messages = append(messages, newMessage(codeOf(e.Code), e.Message))
		}
	}
	for _, text := range x.Warnings {
		messages = append(messages, newMessage(0, text))
	}
	return fewer(messages)
}

// fewer keeps some of many, and of warnings none before an error: that decides whether there is a certificate.
func fewer(messages []Message) []Message {
	const most = 32
	if len(messages) <= most {
		return messages
	}
	errs := slices.DeleteFunc(slices.Clone(messages), func(m Message) bool { return !m.isError() })
	warnings := slices.DeleteFunc(messages, Message.isError)
	return slices.Concat(errs, warnings)[:most]
}

// newMessage keeps a stranger's words from reaching a terminal with more than text in them.
func newMessage(code int, text string) Message {
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(text))
	const most = 1000
	if len(clean) > most {
		clean = strings.ToValidUTF8(clean[:most], "") + "..."
	}
	return Message{code, clean}
}

// codeOf reads the number of a message, or the word that stands for it over REST. What is neither is an error.
func codeOf(s string) int {
	switch s = strings.TrimSpace(s); s {
	case "NoSuchUser":
		return ErrNotMember
	case "SuspendedUser":
		return ErrSuspended
	case "BadRequest":
		return ErrBadRequest
	}
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return n
	}
	return ErrUnexpected
}

// refusal is a *ServerError when there are words in place of a certificate.
func (a *answer) refusal() error {
	if a.ac == nil {
		return &ServerError{a.messages}
	}
	return nil
}

// vomsBase64 is what VOMS servers wrote before they learnt of base64, and write when they are not asked for it.
var vomsBase64 = base64.NewEncoding("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789[]").WithPadding(base64.NoPadding)

// decodeAC reads the certificate in either base64: the one that gives a whole DER sequence is the right one.
func decodeAC(text string) ([]byte, error) {
	text = strings.TrimRight(strings.Join(strings.Fields(text), ""), "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, vomsBase64} {
		der, err := encoding.DecodeString(text)
		var sequence asn1.RawValue
		if err != nil {
			continue
		}
		if rest, err := asn1.Unmarshal(der, &sequence); err == nil && len(rest) == 0 && sequence.Tag == asn1.TagSequence {
			return der, nil
		}
	}
	return nil, fmt.Errorf("the attribute certificate is not in base64: it begins %s", excerpt(text))
}

// bounded fails a server that sends too much, where io.LimitReader would make it look like an end.
type bounded struct {
	r    io.Reader
	left int
}

var errTooMuch = fmt.Errorf("it sent more than %d bytes, and was cut off", maxAnswer)

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errTooMuch
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// readUntil reads up to the words that end an answer. What the server had to say before it broke off is in the error.
func readUntil(r io.Reader, end string) ([]byte, error) {
	var data []byte
	b, chunk := &bounded{r, maxAnswer}, make([]byte, 16<<10)
	for {
		n, err := b.Read(chunk)
		from := max(0, len(data)-len(end))
		data = append(data, chunk[:n]...)
		if bytes.Contains(data[from:], []byte(end)) {
			return data, nil
		}
		if err != nil && len(data) > 0 && !errors.Is(err, errTooMuch) {
			return nil, fmt.Errorf("the answer breaks off: %w: it begins %s", explain(err), excerpt(string(data)))
		}
		if err != nil {
			return nil, explain(err)
		}
	}
}

// explain says what a failure on the wire means.
func explain(err error) error {
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "remote error":
		return &dialError{fmt.Errorf("it refused our certificate chain (%w): ask whether it trusts the CA and takes this type of proxy", err)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it closed the connection without an answer")
	}
	return brief(err)
}

// brief keeps errors of the library short, which hold what they could not read, however long.
func brief(err error) error {
	const most = 300
	if text := err.Error(); len(text) > most {
		return errors.New(excerpt(text))
	}
	return err
}
