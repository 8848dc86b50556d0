package myproxy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// command is what is asked of the server, by its number in the protocol (myproxy_protocol.h).
type command int

const (
	cmdGet command = iota
	cmdPut
	cmdInfo
	cmdDestroy
	cmdChangePassphrase
	cmdStore
	cmdRetrieve
	cmdTrustRoots
)

func (c command) String() string {
	return [...]string{"GET", "PUT", "INFO", "DESTROY", "CHANGE_PASSPHRASE", "STORE", "RETRIEVE", "GET_TRUSTROOTS"}[c]
}

const version = "MYPROXYv2"

// The keys of a request. The server finds them by a search through the whole text, not line by line: none may be in a
// value (convert_message of myproxy.c). KEYRETRIEVERS has its plural there, and none in PROTOCOL.
const (
	keyVersion           = "VERSION"
	keyCommand           = "COMMAND"
	keyUsername          = "USERNAME"
	keyPassphrase        = "PASSPHRASE"
	keyNewPassphrase     = "NEW_PHRASE"
	keyLifetime          = "LIFETIME"
	keyRetrievers        = "RETRIEVER"
	keyRenewers          = "RENEWER"
	keyName              = "CRED_NAME"
	keyDescription       = "CRED_DESC"
	keyKeyRetrievers     = "KEYRETRIEVERS"
	keyTrustedRetrievers = "RETRIEVER_TRUSTED"
	keyTrustedCerts      = "TRUSTED_CERTS"
	keyVOName            = "VONAME"
	keyVOMSes            = "VOMSES"
)

var requestKeys = []string{
	keyVersion, keyCommand, keyUsername, keyPassphrase, keyNewPassphrase, keyLifetime, keyRetrievers, keyRenewers,
	keyName, keyDescription, keyKeyRetrievers, keyTrustedRetrievers, keyTrustedCerts, keyVOName, keyVOMSes,
}

// Sizes that the server takes.
const (
	maxPassphrase = 1024      // bytes; it cuts off what is longer, without a word (MAX_PASS_LEN)
	maxRequest    = 16 * 1024 // bytes, one TLS record: it may take the first of several for the whole
)

// request is a message to the server: lines of KEY=VALUE, and a NUL at the end (PROTOCOL, section A.3).
type request struct {
	command       command
	username      string
	passphrase    Secret
	newPassphrase Secret
	lifetime      time.Duration
	fields        []field // the optional ones; without a value they are left out
}

type field struct{ key, value string }

// Policy says who may do what with a stored credential: globs over DNs in one-line form, such as "/O=Grid/CN=Jane Doe"
// or "*", which takes in those without a certificate. What is empty is decided by the defaults of the server, and the
// server's own policy stands above all of it.
type Policy struct {
	Retrievers        string // may get proxies, with the passphrase
	TrustedRetrievers string // may get proxies without the passphrase
	KeyRetrievers     string // may retrieve the credential itself, with the passphrase
	Renewers          string // may get proxies for proof of the proxy to be renewed; the passphrase has to be empty then
}

// stored makes the fields of a request to store, in the order of the C client.
func stored(p Policy, name, description string) []field {
	return []field{
		{keyRetrievers, p.Retrievers}, {keyRenewers, p.Renewers}, {keyName, name}, {keyDescription, description},
		{keyKeyRetrievers, p.KeyRetrievers}, {keyTrustedRetrievers, p.TrustedRetrievers},
	}
}

func named(name string) []field { return []field{{keyName, name}} }

// Format keeps the passphrases out of every kind of print: fmt does not ask the fields of a struct that it may not see.
func (r request) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s for %q", r.command, r.username) }

// encode writes the message. Errors name the field and never the value.
func (r *request) encode() ([]byte, error) {
	if r.username == "" && r.command != cmdTrustRoots {
		return nil, errors.New("myproxy: no username: the name under which the server keeps the credential is needed")
	}
	seconds, err := wholeSeconds(r.lifetime)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, f := range r.all(seconds) {
		if err := f.check(); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s=%s\n", f.key, f.value)
	}
	b.WriteByte(0)
	if b.Len() > maxRequest {
		return nil, fmt.Errorf("myproxy: the request has %d bytes: a server takes %d", b.Len(), maxRequest)
	}
	return []byte(b.String()), nil
}

// all lists the fields as the C client orders them. PASSPHRASE and LIFETIME have to be there, were they empty.
func (r *request) all(seconds int64) []field {
	list := []field{
		{keyVersion, version},
		{keyCommand, strconv.Itoa(int(r.command))},
		{keyUsername, r.username},
		{keyPassphrase, string(r.passphrase)},
	}
	if r.newPassphrase != "" {
		list = append(list, field{keyNewPassphrase, string(r.newPassphrase)})
	}
	list = append(list, field{keyLifetime, strconv.FormatInt(seconds, 10)})
	for _, f := range r.fields {
		if f.value != "" {
			list = append(list, f)
		}
	}
	return list
}

func (f field) check() error {
	if strings.ContainsAny(f.value, "\n\x00") {
		return fmt.Errorf("myproxy: the %s holds a line break or a NUL: the server would take what follows for another field", f.key)
	}
	for _, key := range requestKeys {
		if strings.Contains(f.value, key+"=") {
			return fmt.Errorf("myproxy: the %s holds %q: the server would take it for another field", f.key, key+"=")
		}
	}
	if secret := f.key == keyPassphrase || f.key == keyNewPassphrase; secret && len(f.value) > maxPassphrase {
		return fmt.Errorf("myproxy: the %s has more than %d bytes, which is what servers keep", f.key, maxPassphrase)
	}
	return nil
}

func wholeSeconds(d time.Duration) (int64, error) {
	s := int64(d / time.Second)
	if d < 0 || s > math.MaxInt32 {
		return 0, errors.New("myproxy: a lifetime is from 0 to 68 years")
	}
	return s, nil
}

// servedLifetime is the lifetime to ask for when d was given: servers count in minutes, and give the most they have
// for none.
func servedLifetime(d time.Duration) (time.Duration, error) {
	switch {
	case d == 0:
		return DefaultLifetime, nil
	case d < time.Minute:
		return 0, errors.New("myproxy: a lifetime of less than a minute: servers count in minutes")
	}
	return d, nil
}
