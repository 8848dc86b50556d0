package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/myproxy"
)

// A name means what it does with the MyProxy tools, whose -x and -X hold for the names after them; but for what starts
// with a slash, which they make a common name that nobody has.
func TestMyproxyPolicy_NamesMeanWhatTheyDoWithTheMyProxyTools(t *testing.T) {
	for _, c := range []struct {
		args                 string
		retrievers, renewers string
		trusted              string
	}{
		{args: "-r Jane", retrievers: "*/CN=Jane"},
		{args: "-r=/O=Grid/CN=Jane", retrievers: "/O=Grid/CN=Jane"},
		{args: "-x -r /O=Grid/CN=Jane -R *Robot", retrievers: "/O=Grid/CN=Jane", renewers: "*Robot"},
		{args: "-r Jane -x -R */CN=Robot", retrievers: "*/CN=Jane", renewers: "*/CN=Robot"},
		{args: "-x -r a -X -Z b", retrievers: "a", trusted: "*/CN=b"},
		{args: "-X -r /odd", retrievers: "*/CN=/odd"},
		{args: "-a -A", retrievers: "*", renewers: "*"},
		{args: "--regex_dn_match --retrievable_by x --renewable_by y", retrievers: "x", renewers: "y"},
	} {
		f := &myproxyPutFlags{}
		command := myproxyPutWith(f)
		if err := command.ParseFlags(strings.Fields(c.args)); err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		if f.Retrievers != c.retrievers || f.Renewers != c.renewers || f.TrustedRetrievers != c.trusted {
			t.Errorf("%s: %+v", c.args, f.Policy)
		}
	}
}

func TestMyproxyPolicy_RefusesTwoNamesForOneThing(t *testing.T) {
	for _, args := range []string{"-r a -r b", "-a -r b", "-R a -A", "--retrievable-by="} {
		if err := myproxyPutWith(&myproxyPutFlags{}).ParseFlags(strings.Fields(args)); err == nil {
			t.Errorf("%s is taken", args)
		}
	}
}

func TestMyproxyHours_AreHoursOrHoursAndMinutes(t *testing.T) {
	for text, want := range map[string]time.Duration{"12": 12 * time.Hour, "0": 0, "1:30": 90 * time.Minute} {
		var h hours
		if err := h.Set(text); err != nil || h.Duration != want {
			t.Errorf("%s is %v, %v", text, h.Duration, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "1:60", "x", "99999999"} {
		if err := new(hours).Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestMyproxyAddresses_AreAskedInTurn(t *testing.T) {
	for _, c := range []struct{ server, port, env, envPort, want string }{
		{server: "a", want: "a"},
		{server: "a", env: "b", want: "a"},
		{env: "a, b:7,[::1],", want: "a b:7 [::1]"},
		{env: "a, b:7,[::1],", envPort: "9", want: "a:9 b:7 [::1]:9"},
		{server: "a", port: "8", envPort: "9", want: "a:8"},
	} {
		t.Setenv("MYPROXY_SERVER", c.env)
		t.Setenv("MYPROXY_SERVER_PORT", c.envPort)
		f := &myproxyFlags{server: c.server, port: c.port}
		got, err := f.addresses()
		if err != nil || !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func TestMyproxyAccount_IsNamedOrTheUsersOrTheSubject(t *testing.T) {
	t.Setenv("LOGNAME", "jane")
	for _, c := range []struct {
		f    myproxyFlags
		want string
	}{
		{myproxyFlags{}, "jane"},
		{myproxyFlags{username: "joe"}, "joe"},
		{myproxyFlags{username: "joe", dnAsUsername: true}, "joe"},
	} {
		if got, err := c.f.account(nil); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c.f, got, err)
		}
	}
	if _, err := (&myproxyFlags{dnAsUsername: true}).account(nil); err == nil {
		t.Error("-d without a credential is taken")
	}
}

func TestMyproxyTrustRoots_GoWhereTheMyProxyToolsPutThem(t *testing.T) {
	t.Setenv("HOME", "/home/jane")
	for _, c := range []struct {
		uid   int
		named []string
		want  string
	}{
		{1000, []string{"", ""}, "/home/jane/.globus/certificates"},
		{0, []string{"", ""}, gridTrustDir},
		{0, []string{"", "/x"}, "/x"},
		{1000, []string{"/y/", "/x"}, "/y"},
	} {
		if got, err := rootsDir(c.uid, c.named...); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
	t.Setenv("HOME", "")
	if dir, err := rootsDir(1000); err == nil {
		t.Error("a user without a home:", dir)
	}
}

func TestMyproxyRetrieve_WritesBothFilesOrNone(t *testing.T) {
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	text := gridtest.Must(gsi.MarshalProxy(pki.User))
	got := &myproxy.Retrieved{Chain: pki.User.Chain, PEM: myproxy.Secret(text)}
	in := func(name string) string { return filepath.Join(pki.Dir, name) }

	f := myproxyRetrieveFlags{pairFlags: pairFlags{in("new.cert"), in("new.key")}}
	if err := f.write(got); err != nil {
		t.Fatal(err)
	}
	if info := gridtest.Must(os.Stat(f.key)); info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v", info.Mode())
	}
	if c, err := gsi.PairFile(f.cert, f.key, gsi.FileOptions{}).Credential(t.Context()); err != nil || !c.Leaf().Equal(pki.User.Leaf()) {
		t.Error(c, err)
	}

	before := gridtest.Must(os.ReadFile(f.cert))
	f.key = in("other.key")
	if err := f.write(got); !errors.Is(err, fs.ErrExist) || !bytes.Equal(gridtest.Must(os.ReadFile(f.cert)), before) {
		t.Errorf("a file that was there was written: %v", err)
	}
	if _, err := os.Stat(f.key); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a key without its certificate was left behind")
	}
}

// lasting is a proxy as far as its dates go.
func lasting(notBefore, notAfter time.Time) *gsi.Credential {
	return &gsi.Credential{Chain: []*x509.Certificate{{NotBefore: notBefore, NotAfter: notAfter, SerialNumber: big.NewInt(1)}}}
}

// kept runs a keeper on a proxy of eight hours until the test's time is up, and returns when it renewed.
func kept(t *testing.T, threshold, until time.Duration, renewals func(n int) error) (at []time.Duration, failures int, end error) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		proxy := lasting(start, start.Add(8*time.Hour))
		ctx, cancel := context.WithTimeout(t.Context(), until)
		defer cancel()
		k := keeper{threshold: threshold, failed: func(error) { failures++ },
			old: func(context.Context) (*gsi.Credential, error) {
				if !time.Now().Before(proxy.NotAfter()) {
					return nil, gsi.ErrExpired
				}
				return proxy, nil
			},
			renew: func(*gsi.Credential) error {
				at = append(at, time.Since(start))
				if err := renewals(len(at)); err != nil {
					return err
				}
				proxy = lasting(time.Now(), time.Now().Add(8*time.Hour))
				return nil
			},
		}
		end = k.run(ctx)
	})
	return at, failures, end
}

func TestMyproxyKeep_RenewsWhenHalfOfTheProxysLifeIsOver(t *testing.T) {
	at, _, err := kept(t, 0, 13*time.Hour, func(int) error { return nil })
	if err != nil || len(at) != 3 || at[0] != 4*time.Hour || at[1] < 8*time.Hour || at[1] > 8*time.Hour+2*retry {
		t.Error(at, err)
	}
}

func TestMyproxyKeep_RenewsWhenLessThanTheThresholdIsLeft(t *testing.T) {
	at, _, err := kept(t, time.Hour, 10*time.Hour, func(int) error { return nil })
	if err != nil || len(at) != 1 || at[0] != 7*time.Hour {
		t.Error(at, err)
	}
}

func TestMyproxyKeep_TriesAgainAfterFailuresWithLongerPauses(t *testing.T) {
	at, failures, err := kept(t, time.Hour, 9*time.Hour, func(n int) error {
		if n < 3 {
			return errors.New("no server")
		}
		return nil
	})
	if err != nil || failures != 2 || len(at) != 3 || at[2] != 7*time.Hour+3*retry {
		t.Error(at, failures, err)
	}
}

func TestMyproxyKeep_EndsWithAnErrorWhenTheProxyHasExpired(t *testing.T) {
	at, failures, err := kept(t, 30*time.Minute, 20*time.Hour, func(int) error { return errors.New("no server") })
	if !errors.Is(err, gsi.ErrExpired) || failures != len(at) || len(at) != 6 { // after 0, 1, 3, 7, 15 and 25 minutes
		t.Error(len(at), failures, err)
	}
}

func TestMyproxyKeep_GoesOnWhenTheFileCannotBeReadForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		proxy, reads, renewals := lasting(start, start.Add(8*time.Hour)), 0, 0
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Hour)
		defer cancel()
		k := keeper{failed: func(error) {},
			old: func(context.Context) (*gsi.Credential, error) {
				if reads++; reads == 2 {
					return nil, errors.New("half of a file")
				}
				return proxy, nil
			},
			renew: func(*gsi.Credential) error {
				renewals++
				proxy = lasting(time.Now(), time.Now().Add(8*time.Hour))
				return nil
			},
		}
		if err := k.run(ctx); err != nil || renewals != 1 {
			t.Error(renewals, err)
		}
		k.old = func(context.Context) (*gsi.Credential, error) { return nil, errors.New("no file") }
		if err := k.run(t.Context()); err == nil {
			t.Error("it waits for a file that never was there")
		}
	})
}

// The server may give proxies that are shorter than the threshold: it is not asked without pause for that.
func TestMyproxyKeep_TakesHalfOfTheLifeOfAProxyThatIsShorterThanTheThreshold(t *testing.T) {
	at, _, err := kept(t, 12*time.Hour, 7*time.Hour, func(int) error { return nil })
	if err != nil || len(at) != 1 || at[0] != 4*time.Hour {
		t.Error(at, err)
	}
}

func TestMyproxy_GivesUpOnAServerThatIsSilent(t *testing.T) {
	silent := gridtest.Must(net.Listen("tcp", "127.0.0.1:0"))
	defer silent.Close()
	pki := filepath.Join(t.TempDir(), "pki")
	if err := makePKI(pki); err != nil {
		t.Fatal(err)
	}
	addr := silent.Addr().String()
	var out, errs bytes.Buffer
	code := command(strings.NewReader("sesame\n"), &out, &errs,
		"myproxy", "get", "-S", "-l", "jane", "-s", addr, "--timeout", "1", "--trust", filepath.Join(pki, "certificates"))
	if want := "gsigw: GET: no answer from " + addr + " within 1s\n"; code != exitFailed || errs.String() != want {
		t.Errorf("%d, %q, want %q", code, errs.String(), want)
	}
}
