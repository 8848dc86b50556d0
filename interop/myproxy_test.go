package interop

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/myproxy"
	"gsigw/trust"
)

// A way of putting or getting: by our client, or by the C one. Putting is Alice's.
type (
	putting func(t testing.TB, m *myProxyServer, name string, p myproxy.Policy)
	getting func(t testing.TB, m *myProxyServer, name, pass string) (*gsi.Credential, error)
)

var puttings = map[string]putting{
	"gsigw": func(t testing.TB, m *myProxyServer, name string, p myproxy.Policy) {
		t.Helper()
		pass := myproxy.Secret(myProxyPass)
		if p.Renewers != "" {
			pass = ""
		}
		err := m.client(t, alice).Put(t.Context(), myproxy.PutRequest{
			Username: "alice", Passphrase: pass, CredentialName: name, Description: "the " + name, Policy: p, Limits: gsi.Limits{Lifetime: 72 * time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
	},
	"myproxy-init": func(t testing.TB, m *myProxyServer, name string, p myproxy.Policy) {
		t.Helper()
		args := []string{"-l", "alice", "-k", name, "-K", "the " + name, "-c", "72", "-x"}
		if p.Retrievers != "" {
			args = append(args, "-r", p.Retrievers)
		}
		if p.Renewers != "" {
			m.mustTool(t, alice, "", "myproxy-init", append(args, "-n", "-R", p.Renewers)...)
			return
		}
		m.mustTool(t, alice, myProxyPass+"\n", "myproxy-init", append(args, "-S")...)
	},
}

var gettings = map[string]getting{
	"gsigw": func(t testing.TB, m *myProxyServer, name, pass string) (*gsi.Credential, error) {
		return m.client(t, nobody).Get(t.Context(), myproxy.GetRequest{
			Username: "alice", Passphrase: myproxy.Secret(pass), CredentialName: name, Lifetime: 2 * time.Hour,
		})
	},
	"myproxy-logon": func(t testing.TB, m *myProxyServer, name, pass string) (*gsi.Credential, error) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "proxy")
		said, err := m.tool(t, nobody, pass+"\n", "myproxy-logon", "-S", "-l", "alice", "-k", name, "-t", "2", "-o", out)
		if err != nil {
			return nil, errors.New(said)
		}
		return gsi.ParsePEM(readFile(t, out))
	},
}

// isAlices wants a proxy of Alice's, good for two hours at most.
func (m *myProxyServer) isAlices(t testing.TB, got *gsi.Credential, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
		return
	}
	id, err := m.trust(t).Verify(got.Chain, time.Now())
	if err != nil {
		t.Error(err)
		return
	}
	if left := time.Until(id.NotAfter); id.DN != aliceName || id.Type != gsi.RFC || left > 2*time.Hour+time.Minute || left < time.Hour {
		t.Errorf("got a proxy of %s, %s, for %v", id.DN, id.Type, left)
	}
}

func TestMyProxy_HandsOutWhatEitherClientPut(t *testing.T) {
	m := startMyProxy(t)
	for putter, put := range puttings {
		put(t, m, putter, myproxy.Policy{})
		for getter, get := range gettings {
			t.Run(putter+" then "+getter, func(t *testing.T) {
				got, err := get(t, m, putter, myProxyPass)
				m.isAlices(t, got, err)
				_, err = get(t, m, putter, "a wrong one")
				refusedWith(t, err, "invalid credential passphrase")
				_, err = get(t, m, "none", myProxyPass)
				refusedWith(t, err, `No credentials exist with username "alice" and credential name "none".`)
			})
		}
	}
}

// refusedWith wants the server's own words.
func refusedWith(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Error("the server did not refuse it")
		return
	}
	said := err.Error()
	if refusal, ok := errors.AsType[*myproxy.ServerError](err); ok {
		said = refusal.Message
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("%q is not in: %s", w, said)
		}
	}
}

func TestMyProxy_KeepsWordsOfRefusedPuts(t *testing.T) {
	m := startMyProxy(t)
	puttings["gsigw"](t, m, "day", myproxy.Policy{})
	err := m.client(t, bob).Put(t.Context(), myproxy.PutRequest{Username: "alice", CredentialName: "day", Passphrase: myProxyPass})
	refusedWith(t, err, "Credentials are already stored for user alice", "they are not owned by\n\""+bobName+`"`)
	err = m.client(t, alice).Put(t.Context(), myproxy.PutRequest{Username: "alice", Passphrase: "short"})
	refusedWith(t, err, "Must be at least 6 characters long.")
}

func TestMyProxy_TellsEitherClientWhatIsThere(t *testing.T) {
	m := startMyProxy(t)
	for putter, put := range puttings {
		put(t, m, putter, myproxy.Policy{Renewers: robotName})
	}
	list, err := m.client(t, alice).Info(t.Context(), myproxy.InfoRequest{Username: "alice"})
	if err != nil || len(list) != len(puttings) {
		t.Fatalf("%d are listed: %v", len(list), err)
	}
	said := m.mustTool(t, alice, "", "myproxy-info", "-l", "alice")
	for _, c := range list {
		if left := time.Until(c.End); puttings[c.Name] == nil || c.Description != "the "+c.Name || c.Owner != aliceName ||
			c.Renewers != robotName || left > 72*time.Hour || left < 71*time.Hour {
			t.Errorf("listed is %+v", c)
		}
		for _, line := range []string{"name: " + c.Name, "description: " + c.Description, "renewal policy: " + c.Renewers} {
			if !strings.Contains(said, line) {
				t.Errorf("myproxy-info does not say %q:\n%s", line, said)
			}
		}
	}
	_, err = m.client(t, bob).Info(t.Context(), myproxy.InfoRequest{Username: "alice"})
	refusedWith(t, err, `no credentials found for user alice, owner "`+bobName+`"`)
}

func TestMyProxy_DestroysForItsOwnerAlone(t *testing.T) {
	m := startMyProxy(t)
	for _, name := range []string{"ours", "theirs"} {
		puttings["gsigw"](t, m, name, myproxy.Policy{})
	}
	destroy := func(who string) error {
		return m.client(t, who).Destroy(t.Context(), myproxy.DestroyRequest{Username: "alice", CredentialName: "ours"})
	}
	refusedWith(t, destroy(bob), `Credentials not owned by "`+bobName+`".`)
	if err := destroy(alice); err != nil {
		t.Error(err)
	}
	refusedWith(t, destroy(alice), "Credentials do not exist.")
	m.mustTool(t, alice, "", "myproxy-destroy", "-l", "alice", "-k", "theirs")
	for _, name := range []string{"ours", "theirs"} {
		_, err := gettings["myproxy-logon"](t, m, name, myProxyPass)
		refusedWith(t, err, "No credentials exist")
	}
}

func TestMyProxy_ChangesThePassphraseForEitherClient(t *testing.T) {
	m := startMyProxy(t)
	const second, third = "second-7512", "third-7512"
	puttings["myproxy-init"](t, m, "day", myproxy.Policy{})
	change := func(who string, from, to myproxy.Secret) error {
		return m.client(t, who).ChangePassphrase(t.Context(), myproxy.ChangePassphraseRequest{Username: "alice", CredentialName: "day", Old: from, New: to})
	}
	refusedWith(t, change(alice, "a wrong one", second), "invalid pass phrase")
	refusedWith(t, change(alice, myProxyPass, "short"), "Must be at least 6 characters long.")
	refusedWith(t, change(bob, myProxyPass, second), "does not own the credentials")
	if err := change(alice, myProxyPass, second); err != nil {
		t.Fatal(err)
	}
	got, err := gettings["myproxy-logon"](t, m, "day", second)
	m.isAlices(t, got, err)
	m.mustTool(t, alice, second+"\n"+third+"\n", "myproxy-change-pass-phrase", "-S", "-l", "alice", "-k", "day")
	got, err = gettings["gsigw"](t, m, "day", third)
	m.isAlices(t, got, err)
	_, err = gettings["gsigw"](t, m, "day", second)
	refusedWith(t, err, "invalid credential passphrase")
}

func TestMyProxy_KeepsCredentialsForEitherClient(t *testing.T) {
	m := startMyProxy(t)
	locked := m.file("alice.locked")
	run(t, exec.Command(need(t, "openssl"), "rsa", "-aes128", "-traditional", "-passout", "pass:"+myProxyPass, "-in", m.file("alice.key"), "-out", locked))
	err := m.client(t, alice).Store(t.Context(), myproxy.StoreRequest{
		Username: "alice", CredentialName: "gsigw", Policy: myproxy.Policy{KeyRetrievers: "*"},
		Certificates: readFile(t, m.file("alice.pem")), Key: myproxy.Secret(readFile(t, locked)),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.mustTool(t, alice, "", "myproxy-store", "-l", "alice", "-k", "myproxy-store", "-c", m.file("alice.pem"), "-y", locked, "-E", "*")
	for _, storer := range []string{"gsigw", "myproxy-store"} {
		t.Run(storer+" then gsigw", func(t *testing.T) {
			ask := myproxy.RetrieveRequest{Username: "alice", CredentialName: storer, Passphrase: myProxyPass}
			got, err := m.client(t, alice).Retrieve(t.Context(), ask)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(got.PEM), "ENCRYPTED") {
				t.Error("the key came unlocked")
			}
			cred, err := got.Unlock(myProxyPass)
			if err != nil || gridtest.Must(cred.Identity()).DN != aliceName {
				t.Error(cred, err)
			}
			ask.Passphrase = "a wrong one"
			_, err = m.client(t, alice).Retrieve(t.Context(), ask)
			refusedWith(t, err, "invalid credential passphrase")
		})
		t.Run(storer+" then myproxy-retrieve", func(t *testing.T) {
			cert, key := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
			m.mustTool(t, alice, myProxyPass+"\n", "myproxy-retrieve", "-S", "-l", "alice", "-k", storer, "-c", cert, "-y", key)
			pass := func() ([]byte, error) { return []byte(myProxyPass), nil } // only root's key comes unlocked
			cred, err := gsi.ParsePEMWith(append(readFile(t, cert), readFile(t, key)...), pass)
			if err != nil || gridtest.Must(cred.Identity()).DN != aliceName {
				t.Error(cred, err)
			}
		})
		t.Run(storer+" then proxies", func(t *testing.T) {
			for _, get := range gettings {
				got, err := get(t, m, storer, myProxyPass)
				m.isAlices(t, got, err)
			}
		})
	}
}

func TestMyProxy_RenewsForTheRenewerAlone(t *testing.T) {
	m := startMyProxy(t)
	owner := gridtest.Must(m.client(t, alice).Credential.Credential(t.Context()))
	other := gridtest.Must(m.client(t, bob).Credential.Credential(t.Context()))
	old := gridtest.Must(gsi.NewProxy(owner, gsi.Limits{Lifetime: time.Hour}))
	oldFile := m.file("old.proxy")
	if err := gsi.WriteProxyFile(oldFile, old); err != nil {
		t.Fatal(err)
	}
	renew := func(name, who string, proof *gsi.Credential) (*gsi.Credential, error) {
		return m.client(t, who).Get(t.Context(), myproxy.GetRequest{Username: "alice", CredentialName: name, Lifetime: 2 * time.Hour, Renew: proof})
	}
	const refused = `"` + bobName + `" not authorized by server's authorized_renewers policy`
	for putter, put := range puttings {
		t.Run(putter, func(t *testing.T) {
			put(t, m, putter, myproxy.Policy{Renewers: robotName, Retrievers: aliceName})
			got, err := renew(putter, robot, old)
			m.isAlices(t, got, err)

			out := filepath.Join(t.TempDir(), "proxy")
			m.mustTool(t, robot, "", "myproxy-logon", "-n", "-a", oldFile, "-l", "alice", "-k", putter, "-t", "2", "-o", out)
			m.isAlices(t, gridtest.Must(gsi.ParsePEM(readFile(t, out))), nil)

			_, err = renew(putter, bob, old)
			refusedWith(t, err, refused)
			said, err := m.tool(t, bob, "", "myproxy-logon", "-n", "-a", oldFile, "-l", "alice", "-k", putter, "-o", out)
			if err == nil || !strings.Contains(said, refused) {
				t.Errorf("myproxy-logon was told: %v\n%s", err, said)
			}
			_, err = renew(putter, robot, gridtest.Must(gsi.NewProxy(other, gsi.Limits{})))
			refusedWith(t, err, "certificate subject does not match credential to be renewed")
			_, err = renew(putter, robot, nil)
			if !errors.Is(err, myproxy.ErrAuthorization) {
				t.Errorf("without a proof: %v", err)
			}
		})
	}
}

func TestMyProxy_GivesEitherClientTheSameTrustRoots(t *testing.T) {
	m := startMyProxy(t)
	roots, err := m.client(t, nobody).TrustRoots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "certificates")
	if err := roots.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, e := range gridtest.Must(os.ReadDir(m.trustDir())) {
		if !bytes.Equal(readFile(t, filepath.Join(dir, e.Name())), readFile(t, filepath.Join(m.trustDir(), e.Name()))) {
			t.Errorf("%s differs", e.Name())
		}
	}
	// The C client writes over the server's own directory, which is where it looks for the server's CA.
	said := m.mustTool(t, nobody, "", "myproxy-get-trustroots")
	if !strings.Contains(said, "Trust roots have been installed in "+m.trustDir()) {
		t.Error(said)
	}
	client := m.client(t, nobody)
	client.Trust = gridtest.Must(trust.Open(dir, trust.Options{CRL: trust.CRLRequire, RequireSigningPolicy: true}))
	puttings["myproxy-init"](t, m, "day", myproxy.Policy{})
	var again myproxy.TrustRoots
	got, err := client.Get(t.Context(), myproxy.GetRequest{
		Username: "alice", Passphrase: myProxyPass, CredentialName: "day", Lifetime: 2 * time.Hour, TrustRoots: &again,
	})
	m.isAlices(t, got, err)
	if len(again) != len(roots) {
		t.Errorf("%d files came with a proxy, and %d alone", len(again), len(roots))
	}
}

func TestMyProxy_IsTheOneThatWasMeant(t *testing.T) {
	m := startMyProxy(t)
	client := m.client(t, alice)
	client.ServerDN = aliceName
	if _, err := client.TrustRoots(t.Context()); !errors.Is(err, myproxy.ErrIdentity) {
		t.Errorf("another DN: %v", err)
	}
	client.ServerDN = "/C=XX/O=PeerLab/CN=localhost"
	if _, err := client.TrustRoots(t.Context()); err != nil {
		t.Error(err)
	}
}
