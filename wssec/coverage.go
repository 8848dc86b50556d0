package wssec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"gsigw/soap"
)

// checkCoverage demands that what the receiver acts on was signed, and keeps the signed parts in document order.
func (v *verification) checkCoverage() error {
	for _, name := range v.expect.Require {
		if err := v.checkRequired(name); err != nil {
			return err
		}
	}
	for _, b := range v.m.Blocks {
		if p := v.signed[&b.Element]; p != nil {
			v.out.headers = append(v.out.headers, *p)
		} else if v.mustBeSigned(b) {
			return unsigned(b.Name)
		}
	}
	body := v.signed[&v.m.Body]
	if body == nil {
		return unsigned(v.m.Body.Name)
	}
	v.out.body = *body
	return v.checkLinks()
}

// checkLinks refuses content that stands elsewhere: a link out of a signed part must lead into one, and to one element
// only. GT4's container follows links into unsigned headers. What leads nowhere in the message is not followed.
func (v *verification) checkLinks() error {
	for l, err := range v.m.Links() {
		switch {
		case err != nil:
			return err
		case !v.out.covers(l.At):
		case slices.ContainsFunc(l.Targets, func(at int64) bool { return !v.out.covers(at) }):
			return &Error{Class: ClassWrapped, Msg: fmt.Sprintf("the link at byte %d leads out of what is signed", l.At)}
		case len(l.Targets) > 1:
			return &Error{Class: ClassDuplicateID, Msg: fmt.Sprintf("the link at byte %d leads to two elements of the same id", l.At)}
		}
	}
	return nil
}

// covers reports whether a byte of the message is in a part that is given back.
func (v *Verified) covers(at int64) bool {
	if v.remade {
		return true
	}
	in := func(p part) bool { return p.element.Span.Start <= at && at < p.element.Span.End }
	return in(v.body) || slices.ContainsFunc(v.headers, in)
}

func unsigned(n soap.Name) error {
	return &Error{Class: ClassUnsignedPart, Msg: fmt.Sprintf("%s is not signed", n)}
}

// checkRequired looks among the headers for the last receiver; Body and Timestamp are demanded in any case.
func (v *verification) checkRequired(name soap.Name) error {
	if name == v.m.Body.Name || name == timestampName {
		return nil
	}
	for _, b := range v.m.Blocks {
		if b.Name == name && b.ForUltimate() && v.signed[&b.Element] != nil {
			return nil
		}
	}
	return unsigned(name)
}

// mustBeSigned reports whether a header block steers what happens to the message: the addressing headers and, in a
// request, the resource key, which GT4's dispatch reads.
func (v *verification) mustBeSigned(b *soap.Block) bool {
	if !b.ForUltimate() || isSecurity(b) {
		return false
	}
	return soap.IsAddressing(b.Name.Space) || b.ReferenceParameter || v.expect.Role == Request && v.isResourceKey(b)
}

// isResourceKey recognises a reference property of GT4 that was copied into the header: nothing but its name tells.
// The key is in the namespace of the service, which is that of the operation or the start of the action, or it is
// called a key or ResourceID as all of GT4's are.
func (v *verification) isResourceKey(b *soap.Block) bool {
	n := b.Name
	return n.Space != "" && (n.Space == v.m.Operation.Space || strings.HasPrefix(v.m.Addressing.Action, n.Space)) ||
		strings.HasSuffix(n.Local, "Key") || n.Local == "ResourceID"
}

var timestampName = soap.Name{Space: soap.WSU, Local: "Timestamp"}

// checkTimestamp demands the one Timestamp, signed, with Created near now and Expires not over (WS-Security 1.0,
// section 10). GT4 looks at Created only and insists on both. Skew is for Created alone: added to Expires too, it would
// leave that without effect, since Expires is not before Created.
func (v *verification) checkTimestamp() error {
	all := v.security.All(soap.WSU, "Timestamp")
	if len(all) == 0 {
		return unsigned(timestampName)
	}
	if len(all) > 1 {
		return malformed("the security header has %d Timestamps", len(all))
	}
	if v.signed[&all[0].Element] == nil {
		return unsigned(all[0].Name)
	}
	if len(all[0].Children) != 2 { // BSP R3222: Created, Expires and nothing else
		return malformed("Timestamp must hold Created, Expires and nothing else")
	}
	var err error
	if v.out.Created, err = instant(all[0], "Created"); err != nil {
		return err
	}
	if v.out.Expires, err = instant(all[0], "Expires"); err != nil {
		return err
	}
	return v.checkTime()
}

func (v *verification) checkTime() error {
	// Instants are compared, not durations: those end at 292 years, and what is farther off looks near.
	now, created, expires := v.now(), v.out.Created, v.out.Expires
	switch {
	case created.Before(now.Add(-v.skew())):
		return &Error{Class: ClassExpired, Msg: fmt.Sprintf("the message was made %s ago; %s are allowed", now.Sub(created).Truncate(time.Second), v.skew())}
	case created.After(now.Add(v.skew())):
		return &Error{Class: ClassExpired, Msg: fmt.Sprintf("the message is from %s in the future; %s are allowed", created.Sub(now).Truncate(time.Second), v.skew())}
	case expires.Before(created):
		return &Error{Class: ClassExpired, Msg: "the message expired before it was made"}
	case now.After(expires):
		return &Error{Class: ClassExpired, Msg: fmt.Sprintf("the message expired at %s", expires.Format(time.RFC3339))}
	}
	return nil
}

// utc is xs:dateTime in UTC with a year of four digits; time.Parse would take a comma and an hour of one digit.
var utc = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)

// instant reads a time in UTC, the only zone that the Basic Security Profile (R3217) and GT4 write.
func instant(timestamp *soap.Node, name string) (time.Time, error) {
	all := timestamp.All(soap.WSU, name)
	if len(all) != 1 || len(all[0].Children) > 0 {
		return time.Time{}, malformed("Timestamp must have one %s", name)
	}
	text := all[0].TrimmedText()
	t, err := time.Parse("2006-01-02T15:04:05Z", text) // takes fractions of a second too
	if err != nil || !utc.MatchString(text) {
		return time.Time{}, malformed("%s is %.40q, not a time in UTC", name, text)
	}
	return t, nil
}
