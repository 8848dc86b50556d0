package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gsigw/gsi"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/wssec"
)

type verifyFlags struct {
	trust, relatesTo, peer  string
	decryptKey, replayState string
	certificates            string
	pass                    passphrases
	at                      timeFlag
	role, form, stack       choice
	require                 []string
	asJSON                  bool
	legacy                  legacyFlags
	input                   input
}

// gt4Stack is the one kind of service that signs otherwise than the standards say.
const gt4Stack = "gt4"

func verifyCommand() *cobra.Command {
	f := &verifyFlags{
		role:  choice{"request", []string{"request", "reply"}},
		form:  choice{"message", []string{"message", "body", "text"}},
		stack: choice{"any", []string{"any", gt4Stack}},
	}
	c := &cobra.Command{
		Use:   "verify --trust DIR < in",
		Short: "Verify a signed SOAP message and print what was signed",
		Long: `Verifies the signed SOAP message on standard input: signature, digests, the signer's certificate chain, timestamp,
and that everything is signed that must be. It prints what was signed and nothing else: the signed headers and Body as
they were digested, in an envelope; or Body alone, or its text. With --decrypt-key what was
encrypted is opened first, and printed as it was before; a Body that stays encrypted is printed as such, the element
with its ciphertext, where its text is asked for.
Content that depends on unsigned namespace declarations is refused in a reply; in a request what looks like a name in
text is printed as text. A message that is refused gives one line on stderr, reason=CLASS: words, and exit code 1; CLASS
is one of digest, signature, untrusted, identity, expired, replay, relates-to, unsigned-part, wrapped, malformed, algorithm,
duplicate-id, dtd, limit, no-security, decrypt.

With --for gt4 a signature is read as GT4 makes it where the standard is another: InclusiveNamespaces on the
CanonicalizationMethod of SignedInfo are ignored. Without it they count, and such a message is refused. Nothing else
changes.

Without --peer every trusted signer will do. A reply's RelatesTo must be signed, and is compared where --relates-to says
with what.

With --replay-state a message passes once: the next one with its MessageID, or without one the same message, is refused
with reason=replay. Only what is good otherwise is remembered, in DIR (mode 0700), for as long as its time allows it;
calls may share DIR. Calls with --at forget nothing there. Without the flag, whether the message was seen before is not
checked.`,
		Example: `  gsigw verify --trust /etc/grid-security/certificates < request.xml
  gsigw verify --trust certificates --role reply --relates-to uuid:7d51... --peer '/O=Grid/CN=host/grid.example.org' < reply.xml
  gsigw verify --trust certificates --role reply --decrypt-key proxy.pem --print body < reply.xml
  gsigw verify --trust certificates --at 2026-11-21T18:49:52Z --print text --require body,timestamp,to < capture.xml`,
		Args: onStdin,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(c); err != nil {
				return err
			}
			return refused(c, verify(c, f))
		},
	}
	f.flags(c)
	return c
}

func (f *verifyFlags) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.trust, "trust", "", "grid trust directory")
	fs.Var(&f.at, "at", "verify as of this time (RFC 3339); default: now")
	fs.Var(&f.role, "role", "what the message is: a reply must relate to its request")
	fs.Var(&f.stack, "for", "whose way of signing is taken; gt4: InclusiveNamespaces of SignedInfo are ignored")
	fs.StringVar(&f.relatesTo, "relates-to", "", "the MessageID that the reply must answer")
	fs.StringVar(&f.peer, "peer", "", "the one subject that may have signed, /C=../CN=..; a proxy signs for its owner")
	fs.StringVar(&f.decryptKey, "decrypt-key", "", "PEM `FILE` with the RSA key that opens what is encrypted, with its certificates or alone")
	fs.StringVar(&f.certificates, "certificates", "", "PEM `FILE` of certificates that the message may name without carrying them")
	f.pass.flag(c)
	fs.StringVar(&f.replayState, "replay-state", "", "refuse what was seen before: `DIR` holds the memory of it, and is made where it is missing")
	fs.StringSliceVar(&f.require, "require", nil, "parts that must be there and signed besides those that always must: body, timestamp, to, action, from, message-id, reply-to, fault-to, relates-to, or {namespace}local")
	fs.Var(&f.form, "print", "what to print")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON: who signed what and when")
	f.legacy.flags(c)
	f.input.flag(c)
	c.MarkFlagRequired("trust")
}

func (f *verifyFlags) check(c *cobra.Command) error {
	switch {
	case f.asJSON && c.Flags().Changed("print"):
		return usagef("--json says who signed what, and --print prints it: give one of them")
	case f.relatesTo != "" && f.role.word != "reply":
		return usagef("--relates-to is for replies: add --role reply")
	}
	return nil
}

func verify(c *cobra.Command, f *verifyFlags) error {
	store, err := openTrust(c, f.trust, f.legacy)
	if err != nil {
		return atFlag("trust", err, caDirectory)
	}
	expect, err := f.expect()
	if err != nil {
		return err
	}
	decrypt, err := f.decryption() // its passphrase may be the first line of standard input
	if err != nil {
		return atFlag("decrypt-key", err, "name the PEM file with the RSA key that it was encrypted to")
	}
	named, err := f.named()
	if err != nil {
		return atFlag("certificates", err, "name a PEM file of certificates")
	}
	replays, err := f.openReplayState()
	if err != nil {
		return atFlag("replay-state", err, "name a directory that can be written to; it is made where the one above it is there")
	}
	defer replays.close()
	in, err := f.input.read(c)
	if err != nil {
		return err
	}
	defer in.Close()
	src := in.Source()
	m, err := soap.Read(src, f.input.limits())
	if err != nil {
		return unread(src, err)
	}
	if expect.Require, err = required(f.require, m); err != nil {
		return err
	}
	v := &wssec.Verifier{Trust: store, Now: f.at.now, Replay: replays, Algorithms: wssec.Algorithms{
		SHA1: true, MD5: f.legacy.md5, MinRSABits: f.legacy.bits,
	}, Decrypt: decrypt, Certificates: named, IgnoreSignedInfoPrefixes: f.stack.word == gt4Stack}
	verified, err := v.Verify(c.Context(), m, expect)
	if err != nil {
		return err
	}
	message, err := f.rebuild(verified)
	if err != nil {
		return err
	}
	encrypted, err := verified.HasCiphertext()
	if err != nil {
		return err
	}
	if err := replays.remember(c.Context()); err != nil {
		return err
	}
	if f.asJSON {
		facts := verifiedFacts(verified, encrypted)
		facts.Decrypted = !encrypted && m.Operation == encryptedData
		return printJSON(c.OutOrStdout(), facts)
	}
	return f.print(c, verified, message, encrypted)
}

// rebuild makes of a reply what an engine would get. A request may have names in text that only unsigned declarations
// explain, as GT4's own clients write them; they are printed as text.
func (f *verifyFlags) rebuild(v *wssec.Verified) (*wssec.Rebuilt, error) {
	if f.role.word == "reply" {
		return v.Rebuild(nil)
	}
	return v.RebuildDigested()
}

func (f *verifyFlags) expect() (wssec.Expect, error) {
	e := wssec.Expect{RelatesTo: f.relatesTo}
	if f.role.word == "reply" {
		e.Role = wssec.Reply
	}
	if f.peer == "" {
		return e, nil
	}
	if _, err := gsi.ParseDN(f.peer); err != nil {
		return e, usagef("--peer: %v", err)
	}
	e.Peer = func(id *gsi.Identity) error {
		if !id.Matches(f.peer) {
			return fmt.Errorf("--peer is %s", f.peer)
		}
		return nil
	}
	return e, nil
}

// required turns the words of --require into names.
func required(words []string, m *soap.Message) ([]soap.Name, error) {
	addressing := map[string]string{
		"to": "To", "action": "Action", "from": "From", "message-id": "MessageID", "reply-to": "ReplyTo",
		"fault-to": "FaultTo", "relates-to": "RelatesTo",
	}
	var names []soap.Name
	for _, w := range words {
		space, local, isName := strings.Cut(strings.TrimPrefix(w, "{"), "}")
		switch {
		case w == "body":
			names = append(names, soap.Name{Space: m.Version.Space(), Local: "Body"})
		case w == "timestamp":
			names = append(names, soap.Name{Space: soap.WSU, Local: "Timestamp"})
		case addressing[w] != "":
			names = append(names, soap.Name{Space: dialect(m), Local: addressing[w]})
		case strings.HasPrefix(w, "{") && isName && local != "":
			names = append(names, soap.Name{Space: space, Local: local})
		default:
			return nil, usagef("--require: %q is no part: write body, timestamp, an addressing header such as message-id, or {namespace}local", w)
		}
	}
	return names, nil
}

// dialect is the message's, or one for a message without: its headers are missing in every dialect.
func dialect(m *soap.Message) string {
	if m.Addressing.Dialect == "" {
		return soap.Addressing200508
	}
	return m.Addressing.Dialect
}

// print prints what was checked to its end: nothing of a message that fails.
func (f *verifyFlags) print(c *cobra.Command, v *wssec.Verified, message *wssec.Rebuilt, encrypted bool) error {
	out := bufio.NewWriterSize(c.OutOrStdout(), 64<<10)
	form := f.form.word
	if form == "text" && encrypted {
		form = "body" // ciphertext is nobody's text
	}
	var err error
	switch form {
	case "message":
		_, err = message.WriteTo(out)
	case "body":
		err = v.WriteBody(out)
	case "text":
		err = v.WriteText(out)
		out.WriteByte('\n')
	}
	return errors.Join(err, out.Flush())
}

// refused prints a refusal in its own form.
func refused(c *cobra.Command, err error) error {
	e, ok := errors.AsType[*wssec.Error](err)
	if !ok {
		return err
	}
	words := strings.Join(strings.Fields(strings.TrimPrefix(e.Error(), "wssec: ")), " ")
	fmt.Fprintf(c.ErrOrStderr(), "reason=%s: %s\n", e.Class, words)
	return errSaid
}

// unread is the refusal of a message that could not be read, with the place.
func unread(src xmlscan.Source, err error) error {
	return &wssec.Error{Class: wssec.ReadError(err).Class, Msg: placed(src, err).Error()}
}

type messageFacts struct {
	Signer    string        `json:"signer"` // OpenSSL one-line form
	Type      gsi.ProxyType `json:"type"`
	Limited   bool          `json:"limited"`
	Depth     int           `json:"depth"`
	MessageID string        `json:"message_id,omitempty"`
	Created   time.Time     `json:"created"`
	Expires   time.Time     `json:"expires"`
	Fault     bool          `json:"fault"`
	Encrypted bool          `json:"encrypted"` // Body is ciphertext still
	Decrypted bool          `json:"decrypted"` // Body was ciphertext, and --decrypt-key opened it
	Parts     []string      `json:"parts"`     // what was signed: {namespace}local
}

func verifiedFacts(v *wssec.Verified, encrypted bool) messageFacts {
	f := messageFacts{
		Signer: v.Signer.DN, Type: v.Signer.Type, Limited: v.Signer.Limited, Depth: v.Signer.Depth,
		MessageID: v.MessageID, Created: v.Created.UTC(), Expires: v.Expires.UTC(), Fault: v.IsFault(), Encrypted: encrypted,
		Parts: []string{},
	}
	for _, p := range v.Parts() {
		f.Parts = append(f.Parts, p.String())
	}
	return f
}
