package voms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"gsigw/gsi"
)

// Client asks VOMS servers for attribute certificates:
//
//	client := &voms.Client{
//		Servers:    voms.FindServers(voms.Search{}),
//		Trust:      store,                    // whose server certificates to believe
//		Credential: source,                   // the user's
//	}
//	grant, err := client.Request(ctx, voms.Request{VO: "atlas", FQANs: []voms.FQAN{{Group: "/atlas", Role: "production"}}})
//
// The AC in the grant is as the server sent it: [Dir.Verify] tells whether the VO's own servers signed it.
type Client struct {
	Servers    *Servers
	Credential gsi.Source
	Trust      Verifier      // *trust.Store is one
	Protocol   Protocol      // empty: REST, then legacy
	Timeout    time.Duration // for each server; 0 means 30 s

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: straight, through no HTTP proxy
	Now  func() time.Time                                                     // nil: time.Now
}

// Protocol is a way to speak with a VOMS server. Both go over TLS to the same port.
type Protocol string

// The protocols.
const (
	REST   Protocol = "rest"   // HTTPS, since VOMS 2.0
	Legacy Protocol = "legacy" // XML over TLS; the only one that Debian 12's server answers
)

// DefaultACLifetime is asked for when nobody says, as by voms-proxy-init.
const DefaultACLifetime = 12 * time.Hour

const (
	defaultTimeout = 30 * time.Second
	maxAnswer      = 1 << 20 // bytes; the largest attribute certificate takes a third of it
)

// Request says which attributes are wanted.
type Request struct {
	VO       string        // or an alias of it
	FQANs    []FQAN        // groups and roles; none: the VO's root group, which brings the user's other groups along
	All      bool          // instead of FQANs: all that the user has
	Lifetime time.Duration // in whole seconds; 0 means [DefaultACLifetime]; a server may give less, with a warning
	Order    []FQAN        // the attributes are to come in this order; without it, in that of FQANs
	Targets  []string      // hosts that alone are to accept the certificate; none: all
}

// Grant is what a server gave.
type Grant struct {
	AC       *AttributeCertificate
	Server   Server
	Protocol Protocol
	Warnings []Message // the server's, and ours about what nobody asked for
	Missing  []FQAN    // asked for, and left out without a word
}

// Message is what a server says besides the certificate. Numbers from 1000 are errors, those below are warnings; a
// warning over REST has none. Numbers below zero are ours: what the certificate has that was not asked for.
type Message struct {
	Code int
	Text string
}

// The errors and warnings of VOMS servers (VOMS 2, src/include/errors.h).
const (
	WarnOrder     = 1 // the first attribute is not the one that was to be first
	WarnShortened = 2 // the lifetime is shorter than asked for
	WarnSubset    = 3 // the credential has attributes already, and only those are given
	WarnUnknown   = 4 // unknown parameters were left out

	ErrNotMember   = 1001 // the VO has no such user, or the user has no such attribute
	ErrNoAttribute = 1002
	ErrDatabase    = 1003
	ErrSuspended   = 1004
	ErrBadRequest  = 1005
	ErrUnexpected  = 1006

	firstError = 1000

	WarnTargets = -1 // it is for certain hosts only
	WarnLonger  = -2 // it is valid for longer
	WarnRoles   = -3 // it has further roles
)

func (m Message) isError() bool { return m.Code >= firstError }

func (m Message) String() string {
	if m.Code <= 0 {
		return m.Text
	}
	return fmt.Sprintf("%s (%d)", m.Text, m.Code)
}

// ServerError is a server's refusal in its own words.
type ServerError struct {
	Messages []Message // at least one error; warnings may stand beside it; the first 32 of very many, errors before warnings
}

func (e *ServerError) Error() string {
	words := make([]string, len(e.Messages))
	for i, m := range e.Messages {
		words[i] = m.String()
	}
	return "it said: " + strings.Join(words, "; ")
}

// Has says whether the server gave this error or warning.
func (e *ServerError) Has(code int) bool {
	return slices.ContainsFunc(e.Messages, func(m Message) bool { return m.Code == code })
}

// RequestError says what each server of the VO answered.
type RequestError struct {
	VO    string
	Tried []Attempt
}

// Attempt is a server that was asked in vain.
type Attempt struct {
	Server Server
	Err    error
}

func (e *RequestError) Error() string {
	answers := make([]string, len(e.Tried))
	for i, a := range e.Tried {
		answers[i] = a.Server.Address() + ": " + a.Err.Error()
	}
	return fmt.Sprintf("voms: no attributes of the VO %s: %s", e.VO, strings.Join(answers, "; "))
}

// Unwrap makes errors.As find a *ServerError.
func (e *RequestError) Unwrap() []error {
	errs := make([]error, len(e.Tried))
	for i, a := range e.Tried {
		errs[i] = a.Err
	}
	return errs
}

// Request asks the servers of the VO, one after the other, until one gives an attribute certificate. When none does,
// the error is a *RequestError; what a server refuses is a *ServerError in it.
func (c *Client) Request(ctx context.Context, r Request) (*Grant, error) {
	if c.Servers == nil {
		return nil, errors.New("voms: no servers are known: give the client those that FindServers finds")
	}
	servers, err := c.Servers.For(r.VO)
	if err != nil {
		return nil, err
	}
	w, err := newWish(r, servers[0].VO)
	if err != nil {
		return nil, err
	}
	cred, err := c.credential(ctx)
	if err != nil {
		return nil, err
	}
	failed := &RequestError{VO: servers[0].VO}
	for _, server := range servers {
		grant, err := c.ask(ctx, server, cred, w)
		if err == nil {
			return grant, nil
		}
		failed.Tried = append(failed.Tried, Attempt{server, err})
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

func (c *Client) credential(ctx context.Context) (*gsi.Credential, error) {
	if c.Credential == nil {
		return nil, errors.New("voms: no credential to show to the server: give the client the user's")
	}
	cred, err := c.Credential.Credential(ctx)
	if err != nil {
		return nil, fmt.Errorf("voms: no credential to show to the server: %w", err)
	}
	if cred == nil || len(cred.Chain) == 0 {
		return nil, errors.New("voms: no credential there to show to the server: give the client the user's")
	}
	if id, err := cred.Identity(); err == nil && id.Independent {
		return nil, fmt.Errorf("voms: the credential %s is an independent proxy, which no attributes belong to: take one that speaks for its user", cred)
	}
	if !cred.NotAfter().After(c.now()) {
		return nil, fmt.Errorf("voms: the credential %s: %w: renew it first", cred, gsi.ErrExpired)
	}
	return cred, nil
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// ask asks one server, over the protocols that come into question. What it refuses is not asked for again over the
// other, and a server that does not answer at all is not waited for twice.
func (c *Client) ask(ctx context.Context, s Server, cred *gsi.Credential, w *wish) (*Grant, error) {
	timeout := cmp.Or(c.Timeout, defaultTimeout)
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var failed []error
	for _, p := range c.protocols() {
		a, err := c.exchange(within, s, cred, w, p)
		switch {
		case err == nil:
			return a.grant(s, p, cred, w, c.now())
		case errors.As(err, new(*ServerError)) || errors.As(err, new(*dialError)) && within.Err() == nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case within.Err() != nil:
			return nil, fmt.Errorf("no answer within %v", timeout)
		}
		failed = append(failed, fmt.Errorf("over %s: %w", p, err))
	}
	return nil, joinInLine(failed)
}

func (c *Client) protocols() []Protocol {
	if c.Protocol != "" {
		return []Protocol{c.Protocol}
	}
	return []Protocol{REST, Legacy}
}

// speech is how a protocol is spoken: what goes out, each piece a TLS record of its own, and how to read what comes back.
type speech struct {
	write func(Server, *wish) ([]string, error)
	read  func(io.Reader) (*answer, error)
}

var speeches = map[Protocol]speech{REST: {writeREST, readREST}, Legacy: {writeLegacy, readLegacy}}

func (c *Client) exchange(ctx context.Context, s Server, cred *gsi.Credential, w *wish, p Protocol) (*answer, error) {
	spoken, ok := speeches[p]
	if !ok {
		return nil, fmt.Errorf("there is no protocol %q: take %q or %q", p, REST, Legacy)
	}
	records, err := spoken.write(s, w)
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(ctx, s, cred)
	if err != nil {
		return nil, err
	}
	defer conn.NetConn().Close() // conn's own would wait 5 s for a peer that does not read
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	for _, record := range records {
		if _, err := conn.Write([]byte(record)); err != nil {
			return nil, explain(err)
		}
	}
	a, err := spoken.read(conn)
	if err == nil {
		err = a.refusal()
	}
	return a, err
}

// joinInLine is errors.Join on one line.
func joinInLine(errs []error) error {
	err := errs[0]
	for _, next := range errs[1:] {
		err = fmt.Errorf("%w; %w", err, next)
	}
	return err
}
