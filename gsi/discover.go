package gsi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Discover finds the credential that the grid tools would use: X509_USER_PROXY,
// then X509_USER_CERT and X509_USER_KEY, then /tmp/x509up_u<uid>, then usercert.pem
// and userkey.pem in ~/.globus. What the environment names is taken even when it
// cannot be used, so that nobody speaks under another name than he set. Why of
// the result says which it was.
func Discover(o FileOptions) (*File, error) {
	home, _ := os.UserHomeDir()
	return place{os.Getenv, os.Geteuid(), "/tmp", home}.discover(o)
}

// place is where Discover looks.
type place struct {
	env  func(string) string
	uid  int
	tmp  string
	home string
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
		Remedy: "make a proxy with grid-proxy-init, or set X509_USER_PROXY",
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
