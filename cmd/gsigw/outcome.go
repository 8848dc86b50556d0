package main

import (
	"fmt"
	"net/http"
	"strings"

	"gsigw/internal/config"
	"gsigw/internal/policy"
)

// outcome is what would be done with an allowed call.
type outcome struct {
	Upstream   string      `json:"upstream"`
	Message    string      `json:"message,omitempty"`
	Transport  string      `json:"transport"`
	Digest     string      `json:"digest,omitempty"`
	Token      string      `json:"token,omitempty"`
	Signs      string      `json:"signs,omitempty"`
	Encryption *encryption `json:"encryption,omitempty"`
	Sends      string      `json:"sends,omitempty"`
	Replies    string      `json:"replies,omitempty"`
	Addressing string      `json:"addressing,omitempty"`
	Credential string      `json:"credential,omitempty"`
}

// encryption is what the service alone can read, and how.
type encryption struct {
	Parts        string `json:"parts"`
	To           string `json:"to"` // the file with its certificate
	Cipher       string `json:"cipher"`
	KeyTransport string `json:"key_transport"`
	KeyReference string `json:"key_reference"`
	Order        string `json:"order"`
	Weak         bool   `json:"weak"` // only for services that know nothing better
}

func (e *encryption) String() string {
	if e == nil {
		return ""
	}
	weak := ""
	if e.Weak {
		weak = " (weak)"
	}
	return fmt.Sprintf("%s to %s: %s, %s%s, %s", e.Parts, e.To, e.Cipher, e.KeyTransport, weak, e.Order)
}

func outcomeOf(r *policy.Route, call policy.Call, cfg *config.Config) outcome {
	o := outcome{Upstream: r.Upstream(call).String(), Transport: r.Transport.String()}
	if isMessage := call.Method != http.MethodGet; isMessage {
		o.message(r, cfg.Routes[r.Name])
	}
	if o.Signs != "" || r.Transport == policy.TransportGSI {
		o.Credential = r.CredentialName
		if o.Credential == "" {
			o.Credential = cfg.Callers[call.Caller].Credential
		}
	}
	return o
}

// message says what becomes of a message, and what of its reply.
func (o *outcome) message(r *policy.Route, files config.Route) {
	o.Message, o.Addressing, o.Replies = r.Message.String(), r.Addressing.String(), demanded(r)
	if r.Signed() {
		o.Digest, o.Token = r.Digest.String(), r.Token.String()
		o.Signs = "Body, Timestamp and every header block"
		if len(r.DropHeaders) > 0 {
			o.Signs += " but those that are dropped"
		}
	}
	switch r.Message {
	case policy.MessageUsername:
		o.Sends = fmt.Sprintf("the password of %s (%s) from %s", r.Username, r.PasswordType, files.PasswordFile)
	case policy.MessageSAML:
		o.Sends = fmt.Sprintf("the assertion in %s (%s)", files.AssertionFile, r.Confirmation)
	}
	if r.Privacy {
		o.Encryption = &encryption{
			Parts: encryptedParts(r), To: string(files.EncryptTo), Cipher: r.Cipher.String(), KeyTransport: r.KeyTransport.String(),
			KeyReference: r.EncryptKeyReference.String(), Order: r.Order.String(),
			Weak: r.Cipher.CBC() || r.KeyTransport == policy.RSA15,
		}
		if r.Message == policy.MessageGSI {
			o.Encryption.Order = policy.EncryptFirst.String()
		} else if r.Order == policy.SignFirst {
			o.Encryption.Parts += " and the signature"
		}
	}
}

// encryptedParts are Body, or elements in it, and header blocks.
func encryptedParts(r *policy.Route) string {
	parts := "Body"
	if len(r.EncryptElements) > 0 {
		parts = joined(r.EncryptElements) + " in Body"
	}
	if len(r.EncryptHeaders) > 0 {
		parts += ", " + joined(r.EncryptHeaders)
	}
	return parts
}

func joined(names []policy.Name) string {
	var texts []string
	for _, n := range names {
		texts = append(texts, n.String())
	}
	return strings.Join(texts, ", ")
}

// demanded is what a reply must be.
func demanded(r *policy.Route) string {
	if !r.Signed() {
		if r.Transport == policy.TransportNone {
			return "are passed on as they come"
		}
		return "are passed on as they come over TLS from " + peers(r)
	}
	must := []string{"be signed by " + peers(r)}
	if r.SignatureConfirmation {
		must = append(must, "confirm the request's signature")
	}
	if r.Privacy {
		what := "be encrypted"
		if len(r.EncryptElements) > 0 {
			what = "have " + joined(r.EncryptElements) + " encrypted where they are in it"
		}
		must = append(must, what)
	}
	return "must " + strings.Join(must, ", and ")
}

func peers(r *policy.Route) string {
	if len(r.PeerDN) == 0 {
		return "host " + r.Target.Host
	}
	return strings.Join(r.PeerDN, " or ")
}

func (o outcome) lines(call policy.Call) [][2]string {
	return [][2]string{
		{"caller", call.Caller}, {"goes to", o.Upstream}, {"message", o.Message}, {"transport", o.Transport},
		{"signs", o.Signs}, {"digest", o.Digest}, {"token", o.Token}, {"encrypts", o.Encryption.String()}, {"sends", o.Sends},
		{"replies", o.Replies}, {"addressing", o.Addressing}, {"credential", o.Credential},
	}
}
