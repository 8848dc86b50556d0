// Package myproxy is a client of MyProxy, the repository where grid users keep proxy credentials for their portals and
// workflows (the MyProxy v2 protocol: the file PROTOCOL of the Globus toolkit, where our notes say "section A").
//
//	client := &myproxy.Client{
//		Addr:       "myproxy.example.org",
//		Trust:      store,                      // a *trust.Store
//		Credential: source,                     // who we are; nil: nobody, as myproxy-logon without a proxy
//	}
//	cred, err := client.Get(ctx, myproxy.GetRequest{Username: "jane", Passphrase: pass, Lifetime: 2 * time.Hour})
//
// [Client.Put] deposits a proxy, [Client.Get] fetches one made of it, [Client.Info] and [Client.Destroy] look after
// what is there. [Client.Store] and [Client.Retrieve] keep a credential itself, with its locked key. With
// GetRequest.Renew a service renews the proxy of a user who has gone home.
//
// Nothing is sent before the server has shown that it is the one that was meant: the host of Addr, or ServerDN. What
// it answers is believed as far as it can be checked: a chain has to be over our key, trusted, of the right identity,
// and no longer-lived than asked. A refusal is a [*ServerError] with the server's own words.
package myproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"gsigw/gsi"
	"gsigw/gsi/gss"
	"gsigw/trust"
)

// DefaultPort is where servers listen, in TCP.
const DefaultPort = "7512"

// DefaultTimeout bounds an exchange, as servers do themselves.
const DefaultTimeout = 2 * time.Minute

// DefaultLifetime is how long a proxy from a server lives when nobody says, as with myproxy-logon.
const DefaultLifetime = 12 * time.Hour

// DefaultStored is how long a deposited proxy lives when nobody says, as with myproxy-init.
const DefaultStored = 7 * 24 * time.Hour

// skew is how far the clock of a server may be off ours (MYPROXY_DEFAULT_CLOCK_SKEW).
const skew = 5 * time.Minute

// Client speaks with one server. It holds no connection: each call makes one. It is safe for concurrent use as long as
// its fields stay as they are.
type Client struct {
	Addr       string       // host or host:port; without a port it is DefaultPort
	ServerDN   string       // the DN that the server has to have (MYPROXY_SERVER_DN); empty: it has to be the host of Addr
	Trust      gss.Verifier // judges the server, and the credentials it gives; needed
	Credential gsi.Source   // who calls; nil: nobody, which servers take for GET with a passphrase

	Timeout    time.Duration // of one call; 0 means DefaultTimeout
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error)
	MinVersion uint16           // of TLS; 0 means 1.2
	Now        func() time.Time // nil: the time of day
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// address returns Addr with a port, and the host that the server has to be.
func (c *Client) address() (addr, host string, err error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		host, port = strings.Trim(c.Addr, "[]"), DefaultPort
	}
	if port == "" {
		port = DefaultPort
	}
	if host == "" || strings.ContainsAny(host, " ,/") {
		return "", "", fmt.Errorf("myproxy: %q is no address of a server: give host or host:port", c.Addr)
	}
	return net.JoinHostPort(host, port), host, nil
}

// isServer says whether the one that answered is the one that was meant.
func (c *Client) isServer(host string, id *gsi.Identity) error {
	switch {
	case id.Independent: // whoever made it chose its name
		return fmt.Errorf("%w: it shows an independent proxy, %s, which speaks for nobody", ErrIdentity, harmless(id.DN))
	case c.ServerDN != "" && id.Matches(c.ServerDN), c.ServerDN == "" && speaksFor(id, host):
		return nil
	case c.ServerDN != "":
		return fmt.Errorf("%w: it is %s, and %s was to answer", ErrIdentity, harmless(id.DN), c.ServerDN)
	}
	return fmt.Errorf("%w: it is %s, and the certificate of %s was to answer: if it is the right one, set its DN as the server's DN (MYPROXY_SERVER_DN)",
		ErrIdentity, harmless(id.DN), host)
}

// speaksFor takes what [trust.HostMatches] takes, and myproxy/<fqdn> as the CN (section A.1).
func speaksFor(id *gsi.Identity, host string) bool {
	return trust.HostMatches(id.EndEntity, host) || trust.ServiceMatches(id.EndEntity, "myproxy", host)
}

// exchange opens a session, sends the request, and leaves the rest to follow, which gets the reply when it is OK.
func (c *Client) exchange(ctx context.Context, r *request, o options, follow func(*session, *reply) error) error {
	message, err := r.encode()
	if err != nil {
		return err
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	o.secrets = append(o.secrets, r.passphrase, r.newPassphrase)
	err = c.converse(within, r, o, message, follow)
	if _, refused := errors.AsType[*ServerError](err); err != nil && !refused && within.Err() != nil && ctx.Err() == nil {
		addr, _, _ := c.address()
		return &timeoutError{r.command.String(), addr, timeout, err}
	}
	return withoutSecrets(failure(ctx, r.command, err), o.secrets)
}

func (c *Client) converse(ctx context.Context, r *request, o options, message []byte, follow func(*session, *reply) error) error {
	s, err := c.open(ctx, r, o)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	return s.run(message, follow)
}

// failure says that the caller gave up where that is what ended an exchange, and names the command otherwise unnamed.
func failure(ctx context.Context, c command, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("myproxy: %s: %w (%w)", c, cause, err)
	}
	if strings.HasPrefix(err.Error(), "myproxy: ") {
		return err
	}
	return fmt.Errorf("myproxy: %s: %w", c, err)
}
