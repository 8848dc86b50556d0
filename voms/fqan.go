package voms

import (
	"fmt"
	"strings"
)

// FQAN is a fully qualified attribute name: a group of the VO, and the role that its member has there. Role and
// Capability are empty where the name says NULL or nothing, which mean the same; two FQANs are equal when == says so.
type FQAN struct {
	Group      string // "/vo/group/sub"
	Role       string
	Capability string // deprecated since VOMS 1.9; VOMS servers write NULL
}

// The longest name that is read; a VOMS database holds 255 bytes of each part.
const maxFQAN = 3 * 255

const null = "NULL"

// ParseFQAN reads "/vo/group/sub/Role=r/Capability=c", the last two parts optional in this order (GFD.182, section
// 3.4.2). Groups and roles are letters, digits, '_', '-' and '.'; a capability is any printable ASCII but '/'.
func ParseFQAN(s string) (FQAN, error) {
	f, err := parseFQAN(s)
	if err != nil {
		return FQAN{}, fmt.Errorf("voms: %w", err)
	}
	return f, nil
}

func parseFQAN(s string) (FQAN, error) {
	if len(s) > maxFQAN {
		return FQAN{}, fmt.Errorf("an FQAN of %d bytes; %d is the most", len(s), maxFQAN)
	}
	rest, capability, hasCapability := strings.Cut(s, "/Capability=")
	group, role, hasRole := strings.Cut(rest, "/Role=")
	switch {
	case !isGroup(group):
		return FQAN{}, fmt.Errorf("the FQAN %q does not begin with a group: write /vo/group/Role=name", s)
	case hasRole && !isWord(role):
		return FQAN{}, fmt.Errorf("the role of the FQAN %q is not made of letters, digits, '_', '-' and '.'", s)
	case hasCapability && !isCapability(capability):
		return FQAN{}, fmt.Errorf("the capability of the FQAN %q is empty, or not of printable ASCII without '/'", s)
	}
	return FQAN{Group: group, Role: unlessNull(role), Capability: unlessNull(capability)}, nil
}

func unlessNull(s string) string {
	if s == null {
		return ""
	}
	return s
}

func isGroup(s string) bool {
	names, ok := strings.CutPrefix(s, "/")
	if !ok {
		return false
	}
	for name := range strings.SplitSeq(names, "/") {
		if !isWord(name) {
			return false
		}
	}
	return true
}

// isWord says whether s is a name of a VO, group or role. The names of directories that lead elsewhere are none.
func isWord(s string) bool {
	return s != "" && s != "." && s != ".." && strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-.", r))
	}) < 0
}

func isCapability(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '/' }) < 0
}

// VO returns the VO that the group belongs to: its first part.
func (f FQAN) VO() string {
	vo, _, _ := strings.Cut(strings.TrimPrefix(f.Group, "/"), "/")
	return vo
}

// String writes the short form, without a role or capability that there is not: "/vo/group/Role=admin".
func (f FQAN) String() string {
	s := f.Group
	if f.Role != "" {
		s += "/Role=" + f.Role
	}
	if f.Capability != "" {
		s += "/Capability=" + f.Capability
	}
	return s
}

// Long writes all three parts, as VOMS servers do: "/vo/group/Role=NULL/Capability=NULL".
func (f FQAN) Long() string {
	role, capability := f.Role, f.Capability
	if role == "" {
		role = null
	}
	if capability == "" {
		capability = null
	}
	return f.Group + "/Role=" + role + "/Capability=" + capability
}
