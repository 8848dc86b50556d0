package myproxy

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// InfoRequest asks what the server keeps for a user, as myproxy-info does. It tells the owner alone.
type InfoRequest struct {
	Username string
}

// StoredCredential is what the server keeps under a name. Its texts are the server's; control characters are replaced
// by "?".
type StoredCredential struct {
	Name        string // empty: the user's default one
	Description string
	Owner       string    // the DN of who deposited it
	Start, End  time.Time // between which it is valid
	Policy
	Locked string // why the administrator has locked it; empty: it is not
}

// dummyPassphrase goes with INFO and DESTROY, where the certificate decides: old servers want one of six characters.
const dummyPassphrase = "DUMMY-PASSPHRASE"

// maxListed bounds the credentials of one user that are listed.
const maxListed = 1000

// Info lists the credentials of a user, the first as the server has it: the default one if there is one.
func (c *Client) Info(ctx context.Context, i InfoRequest) ([]StoredCredential, error) {
	r := &request{command: cmdInfo, username: i.Username, passphrase: dummyPassphrase}
	var list []StoredCredential
	err := c.exchange(ctx, r, options{}, func(_ *session, ok *reply) (err error) {
		list, err = parseInfo(ok)
		return err
	})
	return list, err
}

// parseInfo reads the answer to INFO: CRED_<key> of the first, CRED_<name>_<key> of those that ADDL_CREDS names
// (PROTOCOL, section E).
func parseInfo(r *reply) ([]StoredCredential, error) {
	if r.value("CRED_START_TIME") == "" {
		return nil, nil
	}
	first, err := parseStored(r, r.value(keyName), "CRED_")
	if err != nil {
		return nil, err
	}
	list := []StoredCredential{first}
	for name := range strings.SplitSeq(r.value(keyAdditional), ",") {
		if name == "" {
			continue
		}
		if len(list) == maxListed {
			return nil, protocolError("it lists more than %d credentials of one user", maxListed)
		}
		next, err := parseStored(r, name, "CRED_"+name+"_")
		if err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	return list, nil
}

func parseStored(r *reply, name, prefix string) (StoredCredential, error) {
	text := func(key string) string { return harmless(r.value(prefix + key)) }
	c := StoredCredential{
		Name:        harmless(name),
		Description: text("DESC"),
		Owner:       text("OWNER"),
		Policy: Policy{
			Retrievers: text(keyRetrievers), TrustedRetrievers: text(keyTrustedRetrievers),
			KeyRetrievers: text(keyKeyRetrievers), Renewers: text(keyRenewers),
		},
		Locked: text("LOCKMSG"),
	}
	var err error
	if c.Start, err = unixTime(r, prefix+"START_TIME"); err != nil {
		return c, err
	}
	c.End, err = unixTime(r, prefix+"END_TIME")
	return c, err
}

// lastSecond is the end of the year 9999, the last that can be written.
const lastSecond = 253402300799

func unixTime(r *reply, key string) (time.Time, error) {
	s, err := strconv.ParseInt(r.value(key), 10, 64)
	if err != nil || s < 0 || s > lastSecond {
		return time.Time{}, protocolError("its %q is no time: seconds since 1970 are", key)
	}
	return time.Unix(s, 0), nil
}
