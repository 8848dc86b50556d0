package doctor

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"gsigw/trust"
)

// patience is what a name or a server may take to answer.
const patience = 5 * time.Second

// hostname looks whether the machine knows its own name, in /etc/hosts or, where the network may be asked, anywhere.
func (v *visit) hostname() {
	const check = "machine.hostname"
	remedy := fmt.Sprintf("add a line to /etc/hosts: ADDRESS %s", v.Hostname)
	switch {
	case v.Hostname == "":
		v.warn(check, "hostnamectl set-hostname NAME", "this machine has no name")
	case v.inHosts(v.Hostname):
		v.ok(check, "this machine is called %s, and /etc/hosts has its address", v.Hostname)
	case !v.Online:
		v.ok(check, "this machine is called %s, which is not in /etc/hosts; whether the network knows it was not asked (--online)", v.Hostname)
	default:
		ctx, cancel := context.WithTimeout(v.ctx, patience)
		defer cancel()
		addresses, err := v.Lookup(ctx, v.Hostname)
		if err != nil || len(addresses) == 0 {
			v.warn(check, remedy, "this machine is called %s, and nobody knows its address: services that call back will not find it", v.Hostname)
			return
		}
		v.ok(check, "this machine is called %s, at %s", v.Hostname, strings.Join(addresses, ", "))
	}
}

func (v *visit) inHosts(name string) bool {
	data, err := os.ReadFile(v.etc("/etc/hosts"))
	if err != nil {
		return false
	}
	for l := range strings.Lines(string(data)) {
		l, _, _ = strings.Cut(l, "#")
		if fields := strings.Fields(l); len(fields) > 1 && slices.ContainsFunc(fields[1:], func(f string) bool { return strings.EqualFold(f, name) }) {
			return true
		}
	}
	return false
}

// network asks the servers that were named, and with Online those of the environment.
func (v *visit) network() {
	for _, s := range v.Servers {
		host, port := hostPort(s, "443")
		v.server(peer{name: s, host: host, port: port, http: true})
	}
	name := v.Env("MYPROXY_SERVER")
	if name == "" || !v.Online {
		return
	}
	host, port := hostPort(name, cmp.Or(v.Env("MYPROXY_SERVER_PORT"), "7512"))
	v.server(peer{name: "MYPROXY_SERVER " + name, host: host, port: port, dn: v.Env("MYPROXY_SERVER_DN")})
}

func hostPort(s, port string) (string, string) {
	if host, p, err := net.SplitHostPort(s); err == nil {
		return host, p
	}
	return strings.Trim(s, "[]"), port
}

// peer is a server to ask.
type peer struct {
	name, host, port string
	dn               string // the name that its certificate has to have; "": that of the host
	http             bool
}

// server asks one over TLS for its certificate, and over HTTP for the time.
func (v *visit) server(p peer) {
	const check = "network.server"
	ctx, cancel := context.WithTimeout(v.ctx, 2*patience)
	defer cancel()
	address := net.JoinHostPort(p.host, p.port)
	conn, err := v.Dial(ctx, "tcp", address)
	if err != nil {
		v.fail(check, "check the name, the port and the firewall: openssl s_client -connect "+quoted(address), "%s cannot be reached: %s", p.name, dialError(err))
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	// Whom the server is we judge below, by the grid's rules; nothing is sent to it that is not public.
	tc := tls.Client(conn, &tls.Config{ServerName: p.host, InsecureSkipVerify: true})
	if err := tc.HandshakeContext(ctx); err != nil {
		v.fail(check, "openssl s_client -connect "+quoted(address), "%s answers, but speaks no TLS of today: %s", p.name, line(err.Error()))
		return
	}
	v.serverChain(check, p, tc.ConnectionState().PeerCertificates)
	if p.http {
		v.serverDate(p, tc)
	}
}

func dialError(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}

func (v *visit) serverChain(check string, p peer, chain []*x509.Certificate) {
	if v.store == nil {
		v.warn(check, "mend the trust directory first", "%s answers; its certificate cannot be verified without a trust directory", p.name)
		return
	}
	id, err := v.store.Verify(chain, v.Now)
	if refusal, ok := errors.AsType[*trust.Error](err); ok {
		v.fail(check, v.chainRemedy(refusal), "%s answers; its certificate is not believed (%s): %s", p.name, string(refusal.Code), reasonOf(refusal))
		return
	}
	switch {
	case err != nil:
		v.fail(check, "", "%s answers; its certificate is not believed: %s", p.name, plain(err))
	case id.Independent: // whoever made it chose its name
		v.fail(check, "have the server use its own certificate", "%s is an independent proxy, %s, which is no server", p.name, id.DN)
	case p.dn != "" && !id.Matches(p.dn):
		v.fail(check, "set MYPROXY_SERVER_DN right, or unset it", "%s is %s, and MYPROXY_SERVER_DN wants %s", p.name, id.DN, p.dn)
	case p.dn == "" && !trust.HostMatches(id.EndEntity, p.host) && !trust.ServiceMatches(id.EndEntity, "myproxy", p.host):
		v.fail(check, "name the server as its certificate does", "%s is %s, which does not speak for %s", p.name, id.DN, p.host)
	default:
		v.ok(check, "%s answers and is %s", p.name, id.DN)
	}
}

// serverDate compares the clocks. A server that wants a certificate first, or speaks no HTTP, tells no time.
func (v *visit) serverDate(p peer, conn net.Conn) {
	asked := time.Now()
	if _, err := fmt.Fprintf(conn, "HEAD / HTTP/1.1\r\nHost: %s\r\nUser-Agent: gsigw-doctor\r\nConnection: close\r\n\r\n", p.host); err != nil {
		return
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 64<<10)), &http.Request{Method: http.MethodHead})
	if err != nil {
		return
	}
	answer.Body.Close()
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return
	}
	ours := v.Now.Add(time.Since(asked))
	if off := date.Sub(ours).Abs(); off > clockSlack {
		v.fail("clock", "set the clock right: timedatectl set-ntp true, or start chronyd or ntpd",
			"it is %s here and %s at %s: one of the clocks is off by %s", day(ours), day(date), p.name, span(off))
		return
	}
	v.ok("clock", "the clock of %s agrees with this machine's", p.name)
}
