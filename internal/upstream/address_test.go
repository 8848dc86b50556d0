package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
)

var errNoDial = errors.New("no dialling in this test")

// dialled returns the addresses that a call to the URL would dial.
func dialled(t *testing.T, config Config, rawURL string, allow Allow) ([]string, error) {
	t.Helper()
	var addrs []string
	config.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
		addrs = append(addrs, addr)
		return nil, errNoDial
	}
	_, err := newClient(t, config).Do(t.Context(), &Target{URL: parseURL(t, rawURL), Transport: Plain, Allow: allow}, post("x"))
	return addrs, err
}

func TestDo_RefusesAddressesThatReachThisMachine(t *testing.T) {
	all := Allow{Loopback: true, LinkLocal: true, Own: true}
	tests := []struct {
		addr  string
		allow Allow // what would let it pass; the zero Allow: nothing does
	}{
		{"127.0.0.1", Allow{Loopback: true}},
		{"127.8.9.10", Allow{Loopback: true}},
		{"::1", Allow{Loopback: true}},
		{"::ffff:127.0.0.1", Allow{Loopback: true}},
		{"::127.0.0.1", Allow{Loopback: true}},
		{"64:ff9b::7f00:1", Allow{Loopback: true}},
		{"2002:7f00:1::", Allow{Loopback: true}},
		{"169.254.169.254", Allow{LinkLocal: true}},
		{"::ffff:169.254.169.254", Allow{LinkLocal: true}},
		{"fe80::1", Allow{LinkLocal: true}},
		{"fe80::1%eth0", Allow{LinkLocal: true}},
		{"64:ff9b::7f00:1%eth0", Allow{Loopback: true}},
		{"0.0.0.0", Allow{}},
		{"0.1.2.3", Allow{}},
		{"::", Allow{}},
		{"::ffff:0.0.0.0", Allow{}},
		{"255.255.255.255", Allow{}},
		{"240.0.0.1", Allow{}},
		{"224.0.0.1", Allow{}},
		{"ff02::1", Allow{}},
	}
	for _, test := range tests {
		t.Run(test.addr, func(t *testing.T) {
			c := Config{Resolver: names{"service": {test.addr}}}
			others := Allow{Loopback: !test.allow.Loopback, LinkLocal: !test.allow.LinkLocal, Own: true}
			for _, allow := range []Allow{{}, others} {
				if test.allow == (Allow{}) {
					allow = all
				}
				addrs, err := dialled(t, c, "http://service/", allow)
				wantError(t, err, OpAddress, "called")
				if len(addrs) > 0 {
					t.Errorf("dialled %v", addrs)
				}
			}
			if test.allow != (Allow{}) {
				if _, err := dialled(t, c, "http://service/", test.allow); !errors.Is(err, errNoDial) {
					t.Errorf("not dialled where it is allowed: %v", err)
				}
			}
		})
	}
}

func TestDo_RefusesLiteralsAndNamesAlike(t *testing.T) {
	c := Config{Resolver: names{"localhost": {"127.0.0.1"}}}
	for _, u := range []string{"http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://localhost/"} {
		_, err := dialled(t, c, u, Allow{})
		wantError(t, err, OpAddress, "loopback")
	}
}

func TestDo_RefusesANameWithOneRefusedAddress(t *testing.T) {
	addrs, err := dialled(t, Config{Resolver: names{"service": {"192.0.2.1", "127.0.0.1"}}}, "http://service/", Allow{})
	wantError(t, err, OpAddress, "service (127.0.0.1:80): a loopback address")
	if len(addrs) > 0 {
		t.Errorf("dialled %v", addrs)
	}
}

// The name is resolved once, and the addresses that were checked are dialled as literals: a second answer of the
// resolver (DNS rebinding) changes nothing.
func TestDo_DialsTheCheckedAddressesInOrder(t *testing.T) {
	rebinding := &rebind{answers: []string{"192.0.2.1", "127.0.0.1"}}
	addrs, err := dialled(t, Config{Resolver: rebinding}, "http://service:8080/", Allow{})
	if want := []string{"192.0.2.1:8080"}; !slices.Equal(addrs, want) || !errors.Is(err, errNoDial) || rebinding.n != 1 {
		t.Errorf("dialled %v after %d look-ups, want %v after one (%v)", addrs, rebinding.n, want, err)
	}
	addrs, err = dialled(t, Config{Resolver: names{"service": {"192.0.2.1", "::ffff:192.0.2.2", "2001:db8::1"}}}, "http://service/", Allow{})
	if want := []string{"192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80"}; !slices.Equal(addrs, want) {
		t.Errorf("dialled %v, want %v", addrs, want)
	}
	wantError(t, err, OpDial, "2 more addresses")
}

type rebind struct {
	answers []string
	n       int
}

func (r *rebind) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	ip := netip.MustParseAddr(r.answers[r.n])
	r.n++
	return []netip.Addr{ip}, nil
}

func TestDo_RefusesOurOwnListeners(t *testing.T) {
	local := localAddr(t)
	tests := []struct {
		name, own, url string
		refused        bool
	}{
		{"the listener itself", "127.0.0.1:8443", "http://127.0.0.1:8443/", true},
		{"an IPv4-mapped form of it", "127.0.0.1:8443", "http://[::ffff:127.0.0.1]:8443/", true},
		{"a listener given as mapped", "[::ffff:127.0.0.1]:8443", "http://127.0.0.1:8443/", true},
		{"loopback, with a listener on all addresses", "0.0.0.0:8443", "http://127.0.0.5:8443/", true},
		{"IPv6 loopback, with a listener on all addresses", "[::]:8443", "http://[::1]:8443/", true},
		{"an address of an interface, with a listener on all", "[::]:8443", "http://" + local + ":8443/", true},
		{"another port", "127.0.0.1:8443", "http://127.0.0.1:8444/", false},
		{"another machine, with a listener on all addresses", "[::]:8443", "http://192.0.2.1:8443/", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := Config{Own: []netip.AddrPort{netip.MustParseAddrPort(test.own)}}
			_, err := dialled(t, c, test.url, Allow{Loopback: true})
			if !test.refused {
				wantError(t, err, OpDial, "")
				return
			}
			wantError(t, err, OpAddress, "own listener")
			_, err = dialled(t, c, test.url, Allow{Loopback: true, Own: true})
			wantError(t, err, OpDial, "")
		})
	}
}

// localAddr is an address of this machine, loopback if it has no other.
func localAddr(t *testing.T) string {
	for _, a := range must(net.InterfaceAddrs())(t) {
		ip := netip.MustParsePrefix(a.String()).Addr()
		if ip.Is4() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			return ip.String()
		}
	}
	return "127.0.0.1"
}

func TestDo_SaysThatANameHasNoAddress(t *testing.T) {
	_, err := dialled(t, Config{Resolver: names{}}, "http://nowhere/", Allow{})
	wantError(t, err, OpResolve, "no such host")
}
