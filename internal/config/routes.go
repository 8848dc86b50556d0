package config

import (
	"cmp"
	"maps"
	"slices"

	"gsigw/internal/policy"
)

// Policy is the policy that the routes and listen paths make. For a Config from Load or Parse it cannot fail.
func (c *Config) Policy() (*policy.Policy, error) {
	var routes []policy.Route
	for _, name := range slices.Sorted(maps.Keys(c.Routes)) {
		routes = append(routes, c.route(name))
	}
	var mounts []policy.Mount
	for _, path := range slices.Sorted(maps.Keys(c.Reverse.Paths)) {
		mounts = append(mounts, policy.Mount{Path: path, Route: c.Reverse.Paths[path]})
	}
	return policy.New(routes, mounts)
}

// route fills in what a route inherits: from its stack, from its target, from the rest of the file.
func (c *Config) route(name string) policy.Route {
	r := c.Routes[name]
	digest, addressing := policy.SHA256, policy.AddressingKeep
	if r.For == policy.StackGT4 {
		digest, addressing = policy.SHA1, policy.Addressing200403
	}
	transport := policy.TransportNone
	if r.Target.Scheme == "https" {
		transport = policy.TransportHTTPS
	}
	return policy.Route{
		Name: name, Target: r.Target, Upgrade: r.Upgrade, For: r.For,
		Message: given(r.Message, policy.MessageNone), Transport: given(r.Transport, transport),
		Digest: given(r.Digest, digest), Token: r.Token, Addressing: given(r.Addressing, addressing),
		KeyReference: r.KeyReference, InclusiveNamespaces: r.InclusiveNamespaces, SignatureConfirmation: r.SignatureConfirmation,
		Privacy: r.Privacy, Cipher: r.Cipher, KeyTransport: r.KeyTransport, EncryptKeyReference: r.EncryptKeyReference, Order: r.Order,
		EncryptHeaders: r.EncryptHeaders, EncryptElements: r.EncryptElements,
		Username: r.Username, PasswordType: r.PasswordType, Confirmation: r.Confirmation, Audience: r.Audience,
		DropHeaders: r.DropHeaders, KeepNamespaces: r.KeepNamespaces, PeerDN: texts(r.Peer),
		AllowMD5:      r.AllowMD5 || c.Trust.Legacy.MD5,
		AllowRSA512:   r.AllowRSA512 || c.Trust.Legacy.RSAMinBits <= 512,
		AllowLoopback: r.Loopback, AllowLinkLocal: r.LinkLocal, AllowOwn: r.OwnListener,
		CredentialName: r.Credential, Callers: r.Callers,
		UnsignedAttachments: r.UnsignedAttachments == AcceptAttachments, UnsignedReply: r.UnsignedReply,
		Actions: r.Actions, Operations: r.Operations, Gets: r.Gets, Queries: r.Queries,
		ReplyHeaders: r.ReplyHeaders,
		MaxSkew:      cmp.Or(r.ClockSkew, c.ClockSkew),
		Timeouts: policy.Timeouts{
			Resolve: c.Timeouts.Resolve, Dial: c.Timeouts.Dial, Handshake: c.Timeouts.Handshake,
			Progress: c.Timeouts.Progress, Header: c.Timeouts.Header, Total: cmp.Or(r.Timeout, c.Timeouts.Total),
		},
	}
}

func given[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func texts(names []DN) []string {
	var list []string
	for _, n := range names {
		list = append(list, string(n))
	}
	return list
}
