package doctor

import (
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func TestEnvironment(t *testing.T) {
	diagnose(t, []disease{
		{"set variables are named with what they do", func(p *patient) {
			p.env["X509_CERT_DIR"], p.env["MYPROXY_SERVER"] = p.pki.TrustDir, "myproxy.example.org"
		}, []want{
			{"environment", OK, ": the trust directory is there", ""},
			{"environment", OK, "MYPROXY_SERVER=myproxy.example.org: MyProxy commands go there", ""},
			{"trust", OK, "(X509_CERT_DIR names it)", ""},
		}},
		{"a variable that names nothing", func(p *patient) { p.env["X509_VOMS_DIR"] = "/nowhere" }, []want{
			{"environment", Warn, "X509_VOMS_DIR=/nowhere names nothing that is there", "unset X509_VOMS_DIR"},
		}},
		{"a certificate that is not there", func(p *patient) {
			p.env["X509_USER_CERT"], p.env["X509_USER_KEY"] = "/nowhere/cert", p.pki.Dir+"/userkey.pem"
		}, []want{
			{"environment", Fail, "X509_USER_CERT=/nowhere/cert names nothing that is there", "unset X509_USER_CERT"},
			{"environment", OK, "X509_USER_KEY=", ""},
			{"credential", Fail, "/nowhere/cert is not there", "put the file there, or name another"},
		}},
		{"cert and key override the proxy for Globus", func(p *patient) {
			p.env["X509_USER_PROXY"] = p.tmpProxy()
			p.env["X509_USER_CERT"], p.env["X509_USER_KEY"] = p.pki.Dir+"/usercert.pem", p.pki.Dir+"/userkey.pem"
		}, []want{
			{"environment", Warn, "silently override X509_USER_PROXY for Globus clients; gsigw takes the proxy", "unset X509_USER_CERT X509_USER_KEY"},
			{"credential", OK, "X509_USER_PROXY, ", ""},
			{"credential", OK, "not taken, for X509_USER_PROXY, ", ""},
		}},
	})
}

func TestCredential(t *testing.T) {
	const locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"
	diagnose(t, []disease{
		{"nothing anywhere", func(p *patient) { p.remove(p.tmpProxy()) }, []want{
			{"credential", OK, "x509up_u", ""},
			{"credential", OK, ": nothing is there", ""},
			{"credential", Fail, "grid tools find no credential", "gsigw proxy init"},
		}},
		{"what the environment names is taken even when it is not there", func(p *patient) { p.env["X509_USER_PROXY"] = "/nowhere/proxy" }, []want{
			{"credential", Fail, "X509_USER_PROXY, /nowhere/proxy: taken, and cannot be used: /nowhere/proxy is not there", "gsigw proxy init --out /nowhere/proxy"},
			{"credential", OK, "x509up_u", ""},
		}},
		{"others can read it", func(p *patient) { p.chmod(p.tmpProxy(), 0o640) }, []want{
			{"credential", Fail, "is 0640: others can read or change the key", "chmod 600 "},
		}},
		{"it belongs to another", func(p *patient) {
			c := gridtest.Must(p.pki.Proxy(gsi.Limits{Lifetime: time.Hour}))
			p.UID++
			p.save(p.tmpProxy(), c)
			if os.Geteuid() == 0 { // root's files are anybody's
				gridtest.Must(0, os.Chown(p.tmpProxy(), 4711, -1))
			}
		}, []want{{"credential", Fail, "belongs to uid", "chown "}}},
		{"a symbolic link where anyone may put one", func(p *patient) {
			p.chmod("tmp", 0o777)
			p.symlink(p.tmpProxy())
		}, []want{{"credential", Fail, "is a symbolic link, in a directory where anyone may put one", "rm "}}},
		{"a symbolic link to nothing", func(p *patient) {
			p.symlink(p.tmpProxy())
			p.remove(p.tmpProxy() + ".real")
		}, []want{{"credential", Fail, ".real, which is not there", "mend the link"}}},
		{"a symbolic link elsewhere is followed", func(p *patient) { p.symlink(p.tmpProxy()) }, []want{
			{"credential", OK, ": taken: ", ""},
		}},
		{"a directory", func(p *patient) { p.env["X509_USER_PROXY"] = p.Home }, []want{
			{"credential", Fail, "is not a regular file", "name the file itself"},
		}},
		{"expired", func(p *patient) {
			p.proxy(p.tmpProxy(), gsi.Limits{Lifetime: time.Minute, Now: noon.Add(-30 * time.Minute)})
		}, []want{
			{"credential", Fail, "the credential expired at 2026-11-21T11:31:00Z", "gsigw proxy init"},
		}},
		{"no credential in the file", func(p *patient) { p.write(p.tmpProxy(), "garbage", 0o600) }, []want{
			{"credential", Fail, "in the file", "gsigw proxy init"},
		}},
		{"the key belongs to another certificate", func(p *patient) {
			p.env["X509_USER_CERT"], p.env["X509_USER_KEY"] = p.pki.Dir+"/usercert.pem", p.pki.Dir+"/hostkey.pem"
		}, []want{{"credential", Fail, "belongs to none of the certificates", "openssl pkey -pubout -in "}}},
		{"half of the environment", func(p *patient) { p.env["X509_USER_CERT"] = p.pki.Dir + "/usercert.pem" }, []want{
			{"credential", Fail, "only one of X509_USER_CERT and X509_USER_KEY is set", "set both"},
		}},
		{"half of the environment, and a proxy", func(p *patient) {
			p.env["X509_USER_PROXY"], p.env["X509_USER_KEY"] = p.tmpProxy(), p.pki.Dir+"/userkey.pem"
		}, []want{{"credential", Warn, "only one of", "set both"}}},
		{"a certificate without its key in ~/.globus", func(p *patient) {
			p.remove(p.tmpProxy())
			p.copy("etc/grid-security/usercert.pem", "home/.globus/usercert.pem", 0o644)
		}, []want{
			{"credential", OK, "the certificate is there, its key is not", ""},
			{"credential", Fail, "grid tools find no credential", ""},
		}},
		{"a key in clear in ~/.globus", func(p *patient) {
			p.remove(p.tmpProxy())
			p.userPair()
		}, []want{{"credential", OK, "taken: " + gridtest.UserName + " (no proxy)", ""}}},
		{"a locked key alone makes no credential", func(p *patient) {
			p.remove(p.tmpProxy())
			p.userPair()
			p.write("home/.globus/userkey.pem", locked, 0o600)
		}, []want{{"credential", Fail, "its key is locked with a passphrase", "gsigw proxy init"}}},
		{"a locked key behind a proxy is as it should be", func(p *patient) {
			p.userPair()
			p.write("home/.globus/userkey.pem", locked, 0o600)
		}, []want{{"credential", OK, "not taken, for ", ""}}},
		{"what is not taken may be broken", func(p *patient) {
			p.userPair()
			p.chmod("home/.globus/userkey.pem", 0o644)
		}, []want{
			{"credential", Warn, "it could not be used: the mode of", "chmod 600 "},
			{"credential.key", Fail, "is 0644: others can read or change the key", "chmod 600 "},
		}},
	})
}

func (p *patient) chmod(name string, mode os.FileMode) {
	p.t.Helper()
	if err := os.Chmod(p.path(name), mode); err != nil {
		p.t.Fatal(err)
	}
}

// symlink puts a link in the place of a file.
func (p *patient) symlink(name string) {
	p.t.Helper()
	if err := os.Rename(name, name+".real"); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Symlink(name+".real", name); err != nil {
		p.t.Fatal(err)
	}
}

func TestLifetime(t *testing.T) {
	diagnose(t, []disease{
		{"a proxy ends soon", func(p *patient) { p.proxy(p.tmpProxy(), gsi.Limits{Lifetime: 59 * time.Minute}) }, []want{
			{"credential.lifetime", Warn, "lasts for 59 min only", "gsigw proxy"},
		}},
		{"the end of a link bounds it", func(p *patient) {
			short := gridtest.Must(p.pki.Proxy(gsi.Limits{Lifetime: 2 * time.Hour}))
			c := gridtest.Must(p.pki.ProxyOf(short, gsi.Limits{Lifetime: time.Hour}))
			leaf := *c.Chain[0] // of a tool that does not look at the issuer
			leaf.NotAfter = noon.Add(12 * time.Hour)
			v := &visit{Machine: *p.Machine}
			c.Chain[0] = &leaf
			v.lifetime(found{"here", c})
			w := want{"credential.lifetime", OK, "lasts for 2 h 0 min, until 2026-11-21T14:00:00Z; that is the end of " + gridtest.UserName, ""}
			if !w.in(v.findings) || !strings.Contains(v.findings[0].Fact, "and its proxy says 2026-11-22T00:00:00Z") {
				p.t.Error(report(v.findings))
			}
		}, nil},
		{"the user's certificate ends", func(p *patient) {
			p.save(p.tmpProxy(), gridtest.Must(p.pki.CA.Issue(gridtest.Request{Name: gridtest.UserName, NotAfter: noon.AddDate(0, 0, 29)})))
		}, []want{{"credential.lifetime", Warn, "the certificate ends in 29 days", "ask the CA"}}},
		{"what proxies are made from ends", func(p *patient) {
			p.write("home/.globus/usercert.pem", pemOf(p.t, p.pki.CA, noon.AddDate(0, 0, 5)), 0o644)
		}, []want{{"credential.key", Warn, "usercert.pem ends in 5 d 0 h", "ask the CA"}}},
		{"what proxies are made from has ended", func(p *patient) {
			p.write("home/.globus/usercert.pem", pemOf(p.t, p.pki.CA, noon.Add(-time.Minute)), 0o644)
		}, []want{{"credential.key", Fail, "usercert.pem expired at 2026-11-21T11:59:00Z", "ask the CA"}}},
		{"what proxies are made from is none", func(p *patient) { p.write("home/.globus/usercert.pem", "?", 0o644) }, []want{
			{"credential.key", Fail, "in the file", "put the certificate there"},
		}},
		{"the user's key and certificate are in order", func(p *patient) { p.userPair() }, []want{
			{"credential.key", OK, "userkey.pem is the user's own, and nobody else can read it", ""},
			{"credential.key", OK, "usercert.pem ends in 365 days", ""},
		}},
		{"others can read the user's PKCS#12", func(p *patient) { p.write("home/.globus/usercred.p12", "x", 0o604) }, []want{
			{"credential.key", Fail, "usercred.p12 is 0604", "chmod 600"},
		}},
	})
}

func pemOf(t testing.TB, ca *gridtest.Authority, notAfter time.Time) string {
	t.Helper()
	c := gridtest.Must(ca.Issue(gridtest.Request{Name: gridtest.UserName, NotAfter: notAfter, NotBefore: noon.AddDate(-1, 0, 0)}))
	text := string(gridtest.Must(gsi.MarshalProxy(c)))
	before, _, _ := strings.Cut(text, "-----BEGIN RSA")
	return before
}

func TestChain(t *testing.T) {
	diagnose(t, []disease{
		{"an unknown CA", func(p *patient) {
			p.save(p.tmpProxy(), gridtest.Must(p.pki.Other.Issue(gridtest.Request{Name: gridtest.UserName})))
		}, []want{{"credential.chain", Fail, "the chain does not hold (unknown-ca): ", "put that CA into "}}},
		{"a stale revocation list", func(p *patient) {
			p.crl(gridtest.CRL{ThisUpdate: noon.AddDate(0, -2, 0), NextUpdate: noon.Add(-time.Hour)})
		}, []want{{"credential.chain", Fail, "(crl-expired)", "fetch-crl -l "}}},
		{"no trust directory", func(p *patient) { p.TrustDir = "/nowhere" }, []want{
			{"trust", Fail, "the trust directory /nowhere (named) cannot be read: no such file or directory", "install the grid's CAs"},
			{"credential.chain", Warn, "cannot be verified", "mend the trust directory first"},
		}},
		{"a revoked certificate", func(p *patient) {
			p.crl(gridtest.CRL{Revoked: p.pki.User.Chain})
		}, []want{{"credential.chain", Fail, "was revoked by its CA", "get a new certificate"}}},
	})
}

func (p *patient) crl(c gridtest.CRL) {
	p.t.Helper()
	if err := p.pki.CA.WriteCRL(p.pki.TrustDir, c); err != nil {
		p.t.Fatal(err)
	}
}

func TestConfig(t *testing.T) {
	const head = "listen:\n  proxy: 127.0.0.1:8180\ntrust:\n  dir: etc/grid-security/certificates\n"
	const routes = "\nroutes:\n  counter: {target: \"https://grid.example.org/\", message: gsi-message}\n"
	with := func(credentials string) func(*patient) {
		return func(p *patient) {
			p.Config = p.path("gsigw.yaml")
			p.write("gsigw.yaml", head+"credentials:\n"+credentials+routes, 0o600)
		}
	}
	private := func(certificate string) func(*patient) {
		return func(p *patient) {
			with("  me: {discover: true}")(p)
			p.write("gsigw.yaml", head+"credentials:\n  me: {discover: true}"+routes+
				"  p: {target: \"https://p.example.org/\", message: wss-x509, privacy: true, encrypt-to: etc/grid-security/"+certificate+"}\n", 0o600)
		}
	}
	diagnose(t, []disease{
		{"a mistake has its place", with("  me: {prxy: x}"), []want{
			{"config", Fail, "gsigw.yaml:6:8: credentials.me.prxy: ", ""},
		}},
		{"the certificate of a service", private("hostcert.pem"), []want{{"config.certificate", OK, "routes.p.encrypt-to: " + gridtest.HostName, ""}}},
		{"the certificate of a service is no certificate", private("../hosts"), []want{{"config.certificate", Fail, "routes.p.encrypt-to: ", "PEM"}}},
		{"the certificate of a service was revoked", func(p *patient) {
			private("hostcert.pem")(p)
			p.crl(gridtest.CRL{Revoked: p.pki.Host.Chain})
		}, []want{{"config.certificate", Fail, gridtest.HostName + " does not hold: ", "calls are refused"}}},
		{"the certificate of a service ends soon", func(p *patient) {
			private("hostcert.pem")(p)
			c := gridtest.Must(p.pki.CA.Issue(gridtest.Request{Name: gridtest.HostName, Host: true, NotAfter: p.Now.Add(72 * time.Hour)}))
			p.write("etc/grid-security/hostcert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf().Raw})), 0o644)
		}, []want{{"config.certificate", Warn, "ends in 3 d 0 h", "next certificate"}}},
		{"no config", func(p *patient) { p.Config = "/nowhere.yaml" }, []want{{"config", Fail, "/nowhere.yaml: ", "gsigw config example"}}},
		{"its trust directory and credentials are looked at", with("  me: {cert: etc/grid-security/usercert.pem, key: etc/grid-security/userkey.pem}"), []want{
			{"config", OK, "gsigw.yaml is in order", ""},
			{"trust", OK, "(by the config)", ""},
			{"credential", OK, "credentials.me, ", ""},
			{"credential.lifetime", OK, "credentials.me, ", ""},
			{"credential.chain", OK, "credentials.me, ", ""},
		}},
		{"a credential that cannot be used", with("  me: {cert: etc/grid-security/usercert.pem, key: etc/grid-security/hostkey.pem}"), []want{
			{"credential", Fail, "credentials.me, ", "bring together"},
		}},
		{"a credential that lasts too long", with("  me: {cert: etc/grid-security/usercert.pem, key: etc/grid-security/userkey.pem, max-lifetime: 24h}"), []want{
			{"credential", Fail, "it lasts for 365 days, and max-lifetime is 1 d 0 h", "raise credentials.me.max-lifetime"},
		}},
		{"a subject that is blocked", func(p *patient) {
			with("  me: {cert: etc/grid-security/usercert.pem, key: etc/grid-security/userkey.pem}\nblocked: [\"" + gridtest.UserName + "\"]")(p)
		}, []want{{"credential", Fail, "the gateway refuses it: " + gridtest.UserName + " is blocked in the config", "take it out of blocked"}}},
		{"a discovered one that lasts too long", with("  me: {discover: true, max-lifetime: 1h}"), []want{
			{"credential", Fail, "credentials.me: the gateway refuses it: it lasts for 12 h 0 min", "raise credentials.me.max-lifetime"},
		}},
		{"one that is discovered", with("  me: {discover: true}"), []want{{"credential", OK, "credentials.me: the gateway takes ", ""}}},
		{"one that is to be discovered and is not there", func(p *patient) {
			with("  me: {discover: true}")(p)
			p.remove(p.tmpProxy())
		}, []want{{"credential", Fail, "grid tools find no credential", "gsigw proxy init"}}},
		{"no credential where none is asked for", func(p *patient) {
			with("  me: {cert: etc/grid-security/usercert.pem, key: etc/grid-security/userkey.pem}")(p)
			p.remove(p.tmpProxy())
		}, []want{{"credential", OK, "the config does not ask for one", ""}}},
		{"what it requires of trust", func(p *patient) {
			with("  me: {discover: true}")(p)
			p.write("gsigw.yaml", strings.Replace(head, "trust:\n", "trust:\n  crls: require\n  signing-policy: require\n", 1)+
				"credentials:\n  me: {discover: true}"+routes, 0o600)
			for _, hash := range p.pki.CA.Hashes() {
				p.remove(p.pki.TrustDir+"/"+hash+".r0", p.pki.TrustDir+"/"+hash+".signing_policy")
			}
		}, []want{
			{"trust.crl", Fail, "has no revocation list, and the config requires one", "fetch-crl -l "},
			{"trust.policy", Fail, "has no signing_policy, and the config requires one", ".signing_policy"},
		}},
	})
}
