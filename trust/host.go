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
// for no host.
func HostMatches(endEntity *x509.Certificate, host string) bool {
	if t, err := gsi.Classify(endEntity); err != nil || t != gsi.EEC || endEntity.IsCA {
		return false
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
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
			if dnsMatches(strings.ToLower(pattern), host) {
				return true
			}
		}
		return false
	}
	name, err := gsi.ParseName(endEntity.RawSubject)
	cn := strings.ToLower(name.CommonName())
	return err == nil && (cn == host || cn == "host/"+host)
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
