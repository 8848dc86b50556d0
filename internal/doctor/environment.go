package doctor

import (
	"errors"
	"io/fs"
	"os"

	"gsigw/internal/config"
	"gsigw/trust"
)

// variables are those that change what grid tools do, with what each does; those with a path should name what is there,
// and those that are in the way otherwise must.
var variables = []struct {
	name, does string
	path, must bool
}{
	{"X509_USER_PROXY", "the proxy is read there", false, false}, // where one may be made, too: credentials looks at it
	{"X509_USER_CERT", "the user's certificate is read there", true, true},
	{"X509_USER_KEY", "the user's key is read there", true, true},
	{"X509_CERT_DIR", "the trust directory is there", true, false},
	{"X509_CERT_FILE", "tools of old read their CAs there; gsigw does not", true, false},
	{"X509_VOMS_DIR", "trust in VOMS servers is read there", true, false},
	{"X509_VOMSES", "VOMS servers are read there", true, false},
	{"VOMS_USERCONF", "VOMS servers are read there", true, false},
	{"VOMS_LOCATION", "VOMS servers are looked for there too", true, false},
	{"GRIDMAP", "the grid-mapfile is there", true, false},
	{"GRIDMAPDIR", "the pool accounts are there", true, false},
	{"GLOBUS_LOCATION", "Globus looks for certificates there too", true, false},
	{"MYPROXY_SERVER", "MyProxy commands go there", false, false},
	{"MYPROXY_SERVER_PORT", "at this port", false, false},
	{"MYPROXY_SERVER_DN", "the MyProxy server has to have this name", false, false},
	{"GLOBUS_TCP_PORT_RANGE", "Globus listens on these ports only", false, false},
	{"GLOBUS_HOSTNAME", "Globus takes this machine to be called so", false, false},
}

func (v *visit) environment() {
	const check = "environment"
	set := 0
	for _, e := range variables {
		value := v.Env(e.name)
		if value == "" {
			continue
		}
		set++
		if e.path && !exists(value) {
			missing := v.warn
			if e.must {
				missing = v.fail
			}
			missing(check, "unset "+e.name+", or set it to what is there", "%s=%s names nothing that is there: %s", e.name, value, e.does)
			continue
		}
		v.ok(check, "%s=%s: %s", e.name, value, e.does)
	}
	if v.Env("X509_USER_PROXY") != "" && v.Env("X509_USER_CERT") != "" && v.Env("X509_USER_KEY") != "" {
		v.warn(check, "unset X509_USER_CERT X509_USER_KEY",
			"X509_USER_CERT and X509_USER_KEY silently override X509_USER_PROXY for Globus clients; gsigw takes the proxy")
	}
	if set == 0 {
		v.ok(check, "no variable of the grid is set: everything is looked for where it is by default")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readConfig reads the gateway's config, if one is named; what it says of trust counts where the user said nothing.
func (v *visit) readConfig() {
	if v.Config == "" {
		return
	}
	cfg, err := config.Load(v.Config)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		for _, p := range problems {
			remedy := p.Remedy
			p.Remedy = ""
			v.fail("config", remedy, "%v", p)
		}
		return
	}
	if err != nil {
		v.fail("config", "see: gsigw config validate "+quoted(v.Config), "%s", plain(err))
		return
	}
	v.config = cfg
	v.ok("config", "%s is in order", v.Config)
}

// trustOptions are those under which the gateway judges, or the strict ones.
func (v *visit) trustOptions() trust.Options {
	if v.config == nil {
		return trust.Options{}
	}
	t := v.config.Trust
	crl := map[config.Check]trust.CRLPolicy{config.Require: trust.CRLRequire, config.Off: trust.CRLOff}[t.CRLs]
	return trust.Options{
		CRL: crl, RequireSigningPolicy: t.SigningPolicy == config.Require, Skew: v.config.ClockSkew,
		AllowMD5: t.Legacy.MD5, AllowRSA512: t.Legacy.RSAMinBits == 512,
	}
}

// why is the system's word for what went wrong with a file.
func why(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return plain(err)
}
