package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"gsigw/gsi"
	"gsigw/internal/policy"
	"gsigw/soap"
	"gsigw/soap/xmlscan"
	"gsigw/trust"
	"gsigw/wssec"
)

// outbound is what goes to the service. Its pending is nil only on a route without message security.
type outbound struct {
	body        xmlscan.Source
	contentType string
	pending     wssec.Pending
}

// address adds the addressing headers that the route asks for, where the engine sent none, and puts the service's
// address where the engine wrote ours.
func (x *exchange) address(in *parcel) (err error) {
	dialect, m, to := x.route.Addressing.Namespace(), in.message, x.route.Upstream(x.call).String()
	switch {
	case x.readdress:
		m, err = m.Readdress(to)
	case dialect != "" && !x.call.HasWSA:
		m, err = m.AddAddressing(dialect, to, x.call.Action(), nil)
	default:
		return nil
	}
	if err != nil {
		return &malformed{reason: "the message cannot be addressed to the service: " + plain(err)}
	}
	in.message, in.body = m, nil
	return nil
}

// secure makes of the engine's message what the service gets. On a route with message security there is one way out
// of here without an error: with the profile's message and its Pending.
func (x *exchange) secure(ctx context.Context, in *parcel, c *gsi.Credential) (*outbound, error) {
	if x.route.Message == policy.MessageNone {
		return x.plain(in)
	}
	profile := x.profile(x.State, x.route)
	if profile == nil {
		return nil, fmt.Errorf("gateway: no profile for message: %s", x.route.Message)
	}
	if x.route.Privacy {
		if err := CheckRecipient(x.route, x.Reach(x.route), x.Now()); err != nil {
			return nil, &unsecurable{err}
		}
	}
	began := x.Now()
	edit, pending, err := profile.Secure(ctx, in.message, c)
	if err != nil {
		return nil, securing(in, err)
	}
	if edit == nil || pending == nil {
		return nil, errors.New("gateway: the profile secured nothing")
	}
	if _, ok := pending.(wssec.UnsignedReply); ok && x.route.Transport == policy.TransportNone {
		return nil, errors.New("gateway: what only TLS protects does not go out without") // policy has no such route
	}
	x.Observer.Signed(x.Now().Sub(began))
	return x.pack(in, edit, pending)
}

// plain hands a message on as it came, or with its addressing headers.
func (x *exchange) plain(in *parcel) (*outbound, error) {
	if in.body != nil {
		return &outbound{body: in.body, contentType: in.contentType}, nil
	}
	return x.pack(in, in.message, nil)
}

// pack puts a changed envelope back among its attachments.
func (x *exchange) pack(in *parcel, envelope xmlscan.Source, pending wssec.Pending) (out *outbound, err error) {
	action := ""
	if in.message.Version == soap.V12 && in.message.SOAPAction != "" {
		action = "; action=" + quoted(in.message.SOAPAction)
	}
	out = &outbound{body: envelope, contentType: in.message.Version.ContentType() + action, pending: pending}
	if !in.hasAttachments() {
		return out, nil
	}
	out.body, err = x.made(func(w io.Writer) error {
		contentType, err := in.parts.Write(w, &soap.Message{Source: envelope, Version: in.message.Version})
		out.contentType = contentType + action
		return err
	})
	return out, err
}

// unsecurable is a message that cannot be secured as it is; the engine can do something about it.
type unsecurable struct{ err error }

func (e *unsecurable) Error() string { return "gateway: securing: " + e.err.Error() }
func (e *unsecurable) Unwrap() error { return e.err }

func securing(in *parcel, err error) error {
	if errors.Is(err, wssec.ErrAssertion) { // before what is wrong with the message: the assertion is XML too
		return &unusable{err, "its SAML assertion is not fit to be sent; the gateway's log says what to do"}
	}
	if x, ok := errors.AsType[*xmlscan.Error](err); ok {
		if in.body == nil {
			x.Offset = xmlscan.NoPlace // it is in the message as we changed it, which the engine does not know
		}
		return &unreadable{in.message, x}
	}
	switch {
	case errors.Is(err, wssec.ErrEngineSecurity), errors.Is(err, wssec.ErrNoMessageID), errors.Is(err, wssec.ErrNothingToEncrypt):
		return &malformed{reason: plain(err)}
	case errors.Is(err, wssec.ErrCredentialExpired):
		return &unusable{err, "renew it, for instance with gsigw proxy init"}
	}
	return &unsecurable{err}
}

// verifier takes from the route what it believes. SHA-1 and the quirk belong to the GT4 profiles alone.
func (g *Gateway) verifier(s *State, r *policy.Route) *wssec.Verifier {
	reach := s.Reach(r)
	v := &wssec.Verifier{
		Trust: reach.Trust, Certificates: reach.Files.Peers, Now: g.Now, Skew: r.MaxSkew, Replay: g.Replay,
		IgnoreSignedInfoPrefixes: r.For == policy.StackGT4,
		MaxReferences:            s.Limits.References, MaxCertificates: s.Limits.Certificates,
	}
	v.Algorithms = wssec.Algorithms{
		SHA1: r.For == policy.StackGT4 || r.Digest == policy.SHA1, MD5: r.AllowMD5, MaxRSABits: s.Limits.RSABits,
	}
	if r.AllowRSA512 {
		v.Algorithms.MinRSABits = 512
	}
	return v
}

// signer refuses whoever may not answer on a route, or have requests encrypted to it: without named DNs, everyone but
// the target's host in its own certificate.
func signer(r *policy.Route) func(*gsi.Identity) error {
	return func(id *gsi.Identity) error {
		switch {
		case id == nil || id.EndEntity == nil:
			return errors.New("nobody is known to have signed")
		case id.Independent: // whoever made it chose its name
			return fmt.Errorf("%q is an independent proxy, which is never a service", id.DN)
		case len(r.PeerDN) > 0 && slices.ContainsFunc(r.PeerDN, id.Matches):
			return nil
		case len(r.PeerDN) > 0:
			return fmt.Errorf("%q is not among the peers of route %s", id.DN, r.Name)
		case id.Depth > 0:
			return fmt.Errorf("it is a proxy of %q, which is no host: name its DN under peer if it is the service", id.DN)
		case !trust.HostMatches(id.EndEntity, r.Target.Host):
			return fmt.Errorf("%q is not host %s: name its DN under peer if it is the service", id.DN, r.Target.Host)
		}
		return nil
	}
}
