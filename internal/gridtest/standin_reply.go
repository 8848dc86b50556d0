package gridtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gsigw/soap"
	"gsigw/soap/xmlscan"
)

// Misbehaviour is something that a StandIn does wrong.
type Misbehaviour string

// The misbehaviours. The zero value is none.
const (
	TamperBody     Misbehaviour = "tamper-body"      // changes Body after it was signed
	TamperHeader   Misbehaviour = "tamper-header"    // changes Action after it was signed
	DropSignature  Misbehaviour = "drop-signature"   // sends the reply unsigned
	WrongRelatesTo Misbehaviour = "wrong-relates-to" // answers another request
	StaleTimestamp Misbehaviour = "stale-timestamp"  // signs an hour late
	OtherSigner    Misbehaviour = "other-signer"     // signs as Other
	UnsignedFault  Misbehaviour = "unsigned-fault"   // answers with a fault, unsigned as GT4's are
	SignedFault    Misbehaviour = "signed-fault"     // answers with a fault, and signs it
	ReplayReply    Misbehaviour = "replay-reply"     // sends the last good reply again
	WrapBody       Misbehaviour = "wrap-body"        // moves the signed Body aside and puts another in its place
	Slow           Misbehaviour = "slow"             // does not answer until the caller goes away
	Redirect       Misbehaviour = "redirect"         // sends the caller elsewhere
	Garbage        Misbehaviour = "garbage"          // answers with something that is no SOAP
	HangUp         Misbehaviour = "hang-up"          // closes the connection without an answer
	AddHeader      Misbehaviour = "add-header"       // adds an unsigned header that an engine would act on

	ClearReply        Misbehaviour = "clear-reply"        // signs the reply to an encrypted request, and does not encrypt it
	OtherRecipient    Misbehaviour = "other-recipient"    // encrypts to Other
	BrokenKey         Misbehaviour = "broken-key"         // changes the encrypted key, which GT4 does not sign
	BrokenCiphertext  Misbehaviour = "broken-ciphertext"  // changes the encrypted content
	UnnamedCipher     Misbehaviour = "unnamed-cipher"     // encrypts with algorithms that nobody named
	NoConfirmation    Misbehaviour = "no-confirmation"    // does not confirm the request's signature
	WrongConfirmation Misbehaviour = "wrong-confirmation" // confirms another one
)

// replyEnvelope is a reply in the form of GT4's (capture 02): MessageID, To, Action, From, RelatesTo.
func replyEnvelope(request *soap.Message, from, content string, m Misbehaviour) []byte {
	action := strings.TrimSuffix(request.Addressing.Action, "Request") + "Response"
	if m == SignedFault || m == UnsignedFault {
		action = soap.Addressing200403 + "/fault"
		content = `<soapenv:Fault><faultcode>soapenv:Server.userException</faultcode><faultstring>the counter is out of order</faultstring></soapenv:Fault>`
	}
	relates := request.Addressing.MessageID
	if m == WrongRelatesTo {
		relates = "uuid:" + rand.Text()
	}
	dialect := request.Addressing.Dialect
	if dialect != soap.Addressing200403 && m != UnsignedFault && m != SignedFault {
		action = request.Addressing.Action + "Response"
	}
	to := fmt.Sprintf(`<wsa:To soapenv:mustUnderstand="0">%s</wsa:To>`, soap.Anonymous(dialect))
	return envelope(dialect, to, action, from, relates, content)
}

// envelope is a reply with addressing headers of a dialect; without any where that is empty.
func envelope(dialect, to, action, from, relates, content string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<soapenv:Envelope xmlns:soapenv="%s" xmlns:wsa="%s" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Header>`,
		soap.Envelope11, cmp.Or(dialect, soap.Addressing200403))
	if dialect != "" {
		fmt.Fprintf(&b, `<wsa:MessageID soapenv:mustUnderstand="0">uuid:%s</wsa:MessageID>%s`, rand.Text(), to)
		fmt.Fprintf(&b, `<wsa:Action soapenv:mustUnderstand="0">%s</wsa:Action>`, text(action))
		fmt.Fprintf(&b, `<wsa:From soapenv:mustUnderstand="0"><wsa:Address>%s</wsa:Address></wsa:From>`, text(from))
	}
	if relates != "" {
		relation := ""
		if dialect == soap.Addressing200403 {
			relation = ` RelationshipType="wsa:Reply"`
		}
		fmt.Fprintf(&b, `<wsa:RelatesTo%s soapenv:mustUnderstand="0">%s</wsa:RelatesTo>`, relation, text(relates))
	}
	fmt.Fprintf(&b, `</soapenv:Header><soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`, content)
	return b.Bytes()
}

func text(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // a Buffer does not fail
	return b.String()
}

// faultEnvelope is an unsigned fault in the form of GT4's (captures 40-49).
func faultEnvelope(request *soap.Message, from string, f *gt4Fault) []byte {
	relates := ""
	if request != nil {
		relates = request.Addressing.MessageID
	}
	content := fmt.Sprintf(`<soapenv:Fault><faultcode xmlns:wsse="%s">%s</faultcode><faultstring>%s</faultstring><detail><ns1:hostname xmlns:ns1="http://xml.apache.org/axis/">localhost</ns1:hostname></detail></soapenv:Fault>`,
		soap.WSSE, f.code, text(f.text))
	return envelope(soap.Addressing200403, "", soap.Addressing200403+"/fault", from, relates, content)
}

// secured signs a reply as the host, encrypted where the request was, or does wrong with it.
func (s *StandIn) secured(ctx context.Context, plain []byte, c *caller) ([]byte, error) {
	m := s.misbehaviour()
	if m == DropSignature || m == UnsignedFault {
		return plain, nil
	}
	signer, now := s.options.Host, s.options.Now
	if m == OtherSigner {
		signer = s.options.Other
	}
	if m == StaleTimestamp {
		now = func() time.Time { return s.options.Now().Add(-time.Hour) }
	}
	message, err := soap.Read(xmlscan.Memory(plain), soap.Limits{})
	if err != nil {
		return nil, err
	}
	if s.options.Confirm {
		signed, err := s.confirming(message, c, signer, now())
		return s.spoil(signed, m), err
	}
	edit, _, err := s.profile(c, now).Secure(ctx, message, signer)
	if err != nil {
		return nil, err
	}
	var signed bytes.Buffer
	if _, err := edit.WriteTo(&signed); err != nil {
		return nil, err
	}
	return s.spoil(signed.Bytes(), m), nil
}

// spoil does with a signed reply what somebody on the way could do.
func (s *StandIn) spoil(reply []byte, m Misbehaviour) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m {
	case TamperBody:
		return tamper(reply)
	case TamperHeader:
		return bytes.Replace(reply, []byte("Response</wsa:Action>"), []byte("Answer</wsa:Action>"), 1)
	case ReplayReply:
		if s.last != nil {
			return s.last
		}
	case BrokenKey, BrokenCiphertext:
		return breakCipher(reply, m)
	case "":
		s.last = reply
	case WrapBody:
		return wrap(reply)
	case AddHeader:
		return bytes.Replace(reply, []byte("<soapenv:Header>"), []byte(`<soapenv:Header><x:Redirect xmlns:x="urn:x">http://evil.example.org/</x:Redirect>`), 1)
	}
	return reply
}

// tamper changes one character of Body's content.
func tamper(reply []byte) []byte {
	changed := bytes.Clone(reply)
	i := bytes.LastIndex(changed, []byte("</"))    // Envelope
	i = bytes.LastIndex(changed[:i], []byte("</")) // Body
	i = bytes.LastIndex(changed[:i], []byte("</")) // what Body holds
	for ; i > 0 && (changed[i-1] < '0' || changed[i-1] > '9'); i-- {
	}
	if i > 0 {
		changed[i-1] = '0' + (changed[i-1]-'0'+1)%10
	}
	return changed
}

// wrap moves the signed Body into a header and puts another Body where it stood (signature wrapping).
func wrap(reply []byte) []byte {
	start, end := bytes.Index(reply, []byte("<soapenv:Body")), bytes.Index(reply, []byte("</soapenv:Envelope>"))
	body := reply[start:end]
	header := bytes.Index(reply, []byte("</soapenv:Header>"))
	var b bytes.Buffer
	b.Write(reply[:header])
	fmt.Fprintf(&b, `<x:Wrapper xmlns:x="urn:x">%s</x:Wrapper>`, body)
	b.Write(reply[header:start])
	fmt.Fprintf(&b, `<soapenv:Body><addResponse xmlns="%s">1000000</addResponse></soapenv:Body></soapenv:Envelope>`, counterSpace)
	return b.Bytes()
}

// answer writes the HTTP reply, or does wrong with it.
func (s *StandIn) answer(w http.ResponseWriter, r *http.Request, status int, reply []byte) {
	switch s.misbehaviour() {
	case Slow:
		<-r.Context().Done()
		return
	case HangUp:
		panic(http.ErrAbortHandler)
	case Redirect:
		http.Redirect(w, r, "https://elsewhere.example.org/", http.StatusTemporaryRedirect)
		return
	case Garbage:
		status, reply = http.StatusOK, []byte("<html>This is no SOAP")
	case SignedFault, UnsignedFault:
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	w.Write(reply)
}
