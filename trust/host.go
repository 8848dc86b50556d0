package trust

import (
	"crypto/x509"
	"net"
	"strings"

	"gsigw/gsi"
)

// HostMatches says whether an end-entity certificate speaks for a host, a DNS
// name or an IP address. Names in subjectAltName count alone where there are
// any, with "*" for the whole leftmost label (RFC 6125, section 6.4.3);
// otherwise the last CN does, as "host.example.org" or, as grid hosts are
// called, "host/host.example.org". A proxy, whose owner chose its CN, speaks
// for no host. Case is ASCII's.
func HostMatches(endEntity *x509.Certificate, host string) bool {
	return ServiceMatches(endEntity, "host", host)
}

// ServiceMatches is [HostMatches] for a service whose certificates may have its
// name in the place of "host", as in "myproxy/host.example.org".
func ServiceMatches(endEntity *x509.Certificate, service, host string) bool {
	if t, err := gsi.Classify(endEntity); err != nil || t != gsi.EEC || endEntity.IsCA {
		return false
	}
	host = strings.TrimSuffix(lowerASCII(host), ".")
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		for _, have := range endEntity.IPAddresses {
			if have.Equal(ip) {
				return true
			}
		}
		return false
	}
	if host == "" {
		return false
	}
	if len(endEntity.DNSNames) > 0 {
		for _, pattern := range endEntity.DNSNames {
			if dnsMatches(lowerASCII(pattern), host) {
				return true
			}
		}
		return false
	}
	name, err := gsi.ParseName(endEntity.RawSubject)
	cn := lowerASCII(name.CommonName())
	return err == nil && (cn == host || cn == service+"/"+host)
}

// lowerASCII leaves letters beyond ASCII alone: the Kelvin sign is no "k".
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func dnsMatches(pattern, host string) bool {
	pattern = strings.TrimSuffix(pattern, ".")
	if pattern == host {
		return !strings.Contains(host, "*")
	}
	suffix, wild := strings.CutPrefix(pattern, "*")
	label, ok := strings.CutSuffix(host, suffix)
	return wild && ok && strings.Count(suffix, ".") >= 2 && strings.HasPrefix(suffix, ".") &&
		label != "" && !strings.Contains(label, ".") && !strings.Contains(suffix, "*")
}
