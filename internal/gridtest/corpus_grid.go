package gridtest

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os"
	"time"

	"gsigw/gsi"
)

// Grid makes a trust directory of n CAs on P-256, each with a signing policy and a list of so many revoked
// certificates, and returns a user of each.
func Grid(dir string, n, revoked int, now time.Time) ([]*gsi.Credential, error) {
	b := &bench{corpus: &corpus{dir: dir, now: now}, name: "grid", dir: dir}
	b.fail(os.MkdirAll(dir, 0o755))
	var users []*gsi.Credential
	for i := range n {
		ca := b.authority(fmt.Sprintf("/O=Grid/OU=gsigw test/CN=CA %d", i),
			withKey(keyOf("p256", fmt.Sprintf("CA %d", i))))
		b.trusted(ca)
		b.crl(ca, crl{entries: manyRevoked(revoked, now)})
		user := b.userOf(ca, withKey(keyOf("p256", "user of the grid")))
		cert, err := x509.ParseCertificate(user.der)
		b.fail(err)
		users = append(users, &gsi.Credential{Chain: []*x509.Certificate{cert}, Key: user.key})
	}
	return users, b.err
}

// manyRevoked makes list entries whose serial numbers nobody has.
func manyRevoked(n int, now time.Time) []byte {
	var entries []byte
	at, base := derTime(now.Add(-time.Hour)), new(big.Int).Lsh(big.NewInt(1), 100)
	for i := range n {
		serial := new(big.Int).Add(base, big.NewInt(int64(i)))
		entries = append(entries, tlv(tagSeq, Must(asn1.Marshal(serial)), at)...)
	}
	return entries
}
