package myproxy

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// TrustRoots are files of a trust directory by name: CAs, their CRLs and policies.
type TrustRoots map[string][]byte

const (
	maxRoots      = 32 << 20 // bytes in all files together
	maxRootsFiles = 10_000
)

// rootName is what a file of a trust directory is called: a CA certificate or CRL by the hash of its name, or what
// belongs to it by hash or by alias. Whatever else the server has in its directory is left out; above all an alias.pem,
// which would be taken for a CA too.
var rootName = regexp.MustCompile(`^([0-9a-f]{8}\.r?[0-9]{1,3}|[0-9A-Za-z][0-9A-Za-z_-]{0,99}(\.[0-9A-Za-z_-]{1,99}){0,9}\.(signing_policy|namespaces|crl_url|info))$`)

// keyFileData begins the line of a file's content.
const keyFileData = "FILEDATA_"

// TrustRoots gets the server's trust roots, as myproxy-get-trustroots does.
func (c *Client) TrustRoots(ctx context.Context) (TrustRoots, error) {
	r := &request{command: cmdTrustRoots, fields: []field{{keyTrustedCerts, "1"}}}
	var roots TrustRoots
	err := c.exchange(ctx, r, options{limit: maxRootsReply}, func(_ *session, ok *reply) (err error) {
		if roots, err = readTrustRoots(ok); err == nil && len(roots) == 0 {
			err = errors.New("myproxy: the server has no trust roots to give: its administrator sets cert_dir")
		}
		return err
	})
	return roots, err
}

// readTrustRoots reads TRUSTED_CERTS=f1,f2 and FILEDATA_<name>=<base64> out of a reply.
func readTrustRoots(r *reply) (TrustRoots, error) {
	names := r.value(keyTrustedCerts)
	if n := strings.Count(names, ",") + 1; n > maxRootsFiles {
		return nil, protocolError("it has %d trust roots; %d are taken", n, maxRootsFiles)
	}
	roots, size := TrustRoots{}, 0
	for name := range strings.SplitSeq(names, ",") {
		if strings.ContainsAny(name, "/\\\x00") {
			return nil, protocolError("it names a trust root %q, which is no file name", name)
		}
		if !rootName.MatchString(name) {
			continue
		}
		content, err := base64.StdEncoding.DecodeString(r.value(keyFileData + name))
		if err != nil || len(content) == 0 {
			return nil, protocolError("it names the trust root %q, and sends no content for it", name)
		}
		if size += len(content); size > maxRoots {
			return nil, protocolError("its trust roots have more than %d bytes", maxRoots)
		}
		roots[name] = content
	}
	return roots, nil
}

// Write writes the files into a directory, which it makes if need be, each of them whole or not at all. A CA comes after
// the policies and CRLs that bind it. Files that the server does not have stay as they are.
func (t TrustRoots) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("myproxy: trust roots: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("myproxy: trust roots: %w", err)
	}
	defer root.Close()
	for _, name := range slices.SortedFunc(maps.Keys(t), casLast) {
		if !rootName.MatchString(name) {
			return fmt.Errorf("myproxy: trust roots: %q is no file of a trust directory", name)
		}
		if err := replaceFile(root, name, t[name]); err != nil {
			return fmt.Errorf("myproxy: trust roots: %w", err)
		}
	}
	return nil
}

var caName = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]+$`)

func casLast(a, b string) int {
	rank := func(name string) int {
		if caName.MatchString(name) {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

// replaceFile writes beside the file first, under a name that no other writer has. What is there already, a symbolic
// link say, is replaced and not followed.
func replaceFile(root *os.Root, name string, content []byte) (err error) {
	beside := "." + name + "." + rand.Text()
	f, err := root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			root.Remove(beside)
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return root.Rename(beside, name)
}
