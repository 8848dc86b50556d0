package gsi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Discover finds the credential that the grid tools would use: X509_USER_PROXY,
// then X509_USER_CERT and X509_USER_KEY, then /tmp/x509up_u<uid>, then usercert.pem
// and userkey.pem in ~/.globus. What the environment names is taken even when it
// cannot be used, so that nobody speaks under another name than he set. Why of
// the result says which it was.
func Discover(o FileOptions) (*File, error) {
	return here().discover(o)
}

// UserCredential finds the end-entity credential that grid-proxy-init would make
// a proxy of: the certificate and key that X509_USER_CERT and X509_USER_KEY name,
// each usercert.pem and userkey.pem in ~/.globus if the variable is not set, else
// usercred.p12 there. A certificate whose name holds ".p12" is PKCS#12. Locked
// files are opened with the Passphrase of the options.
func UserCredential(o FileOptions) (*File, error) { return here().userCredential(o) }

// ProxyPath returns where a proxy is written and looked for: X509_USER_PROXY, or
// /tmp/x509up_u and the effective user id.
func ProxyPath() string { return here().proxyPath() }

// place is where Discover looks.
type place struct {
	env  func(string) string
	uid  int
	tmp  string
	home string
}

func here() place {
	home, _ := os.UserHomeDir()
	return place{os.Getenv, os.Geteuid(), "/tmp", home}
}

func (p place) proxyPath() string {
	if named := p.env("X509_USER_PROXY"); named != "" {
		return named
	}
	return filepath.Join(p.tmp, fmt.Sprintf("x509up_u%d", p.uid))
}

func (p place) userCredential(o FileOptions) (*File, error) {
	cert, key := p.env("X509_USER_CERT"), p.env("X509_USER_KEY")
	inGlobus := func(name string) string { return filepath.Join(p.home, ".globus", name) }
	why := "it is the certificate in ~/.globus"
	switch {
	case strings.Contains(filepath.Base(cert), ".p12"):
		return found(PKCS12File(cert, "", o), "X509_USER_CERT names it"), nil
	case cert != "" && key != "":
		return found(PairFile(cert, key, o), "X509_USER_CERT and X509_USER_KEY name it"), nil
	case cert != "" && p.home != "":
		return found(PairFile(cert, inGlobus("userkey.pem"), o), "X509_USER_CERT names it, the key is the one in ~/.globus"), nil
	case key != "" && p.home != "":
		return found(PairFile(inGlobus("usercert.pem"), key, o), "X509_USER_KEY names the key, the certificate is the one in ~/.globus"), nil
	case p.home != "" && (exists(inGlobus("usercert.pem")) || exists(inGlobus("userkey.pem"))):
		return found(PairFile(inGlobus("usercert.pem"), inGlobus("userkey.pem"), o), why), nil
	case p.home != "" && exists(inGlobus("usercred.p12")):
		return found(PKCS12File(inGlobus("usercred.p12"), "", o), why), nil
	}
	return nil, &UnusableError{
		Source: "X509_USER_CERT and X509_USER_KEY, ~/.globus",
		Reason: errors.New("nothing is there"),
		Remedy: "put usercert.pem and userkey.pem (mode 0600) into ~/.globus, or usercred.p12, or set the variables",
	}
}

func (p place) discover(o FileOptions) (*File, error) {
	cert, key := p.env("X509_USER_CERT"), p.env("X509_USER_KEY")
	proxy := filepath.Join(p.tmp, fmt.Sprintf("x509up_u%d", p.uid))
	userCert, userKey := filepath.Join(p.home, ".globus", "usercert.pem"), filepath.Join(p.home, ".globus", "userkey.pem")
	switch named := p.env("X509_USER_PROXY"); {
	case named != "":
		return found(ProxyFile(named, o), "X509_USER_PROXY names it"), nil
	case cert != "" && key != "":
		return found(PairFile(cert, key, o), "X509_USER_CERT and X509_USER_KEY name it"), nil
	case cert != "" || key != "":
		return nil, &UnusableError{"the environment", errors.New("only one of X509_USER_CERT and X509_USER_KEY is set"), "set both or neither"}
	case exists(proxy):
		return found(ProxyFile(proxy, o), "it is the proxy of this uid"), nil
	case p.home != "" && exists(userCert) && exists(userKey):
		return found(PairFile(userCert, userKey, o), "it is the certificate in ~/.globus"), nil
	}
	return nil, &UnusableError{
		Source: fmt.Sprintf("X509_USER_PROXY, X509_USER_CERT and X509_USER_KEY, %s, ~/.globus", proxy),
		Reason: errors.New("nothing is there"),
		Remedy: "make a proxy with gsigw proxy init, or set X509_USER_PROXY",
	}
}

func found(f *File, why string) *File {
	f.why = why
	return f
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
