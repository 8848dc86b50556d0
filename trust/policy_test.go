package trust_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
	"gsigw/trust"
)

func TestVerify_SigningPolicy(t *testing.T) {
	const block = "access_id_CA X509 '/O=Grid/OU=gsigw test/CN=Test CA'\npos_rights globus CA:sign\n"
	for name, test := range map[string]struct {
		file string
		code trust.Code
	}{
		"one pattern":             {block + `cond_subjects globus '"/O=Grid/*"'`, ""},
		"several patterns":        {block + `cond_subjects globus '"/O=Other/*" "/O=Grid/*"'`, ""},
		"unquoted pattern":        {block + `cond_subjects globus '/O=Grid/*'`, ""},
		"comments and blanks":     {"# EACL\n\n" + block + "\n  cond_subjects  globus  '\"/O=Grid/*\"'  # all", ""},
		"a whole name":            {block + `cond_subjects globus '"/O=Grid/OU=gsigw test/CN=Jane Doe"'`, ""},
		"a star in the middle":    {block + `cond_subjects globus '"/O=Grid/*/CN=Jane Doe"'`, ""},
		"after another CA":        {strings.Replace(block, "Test CA", "Other CA", 1) + "cond_subjects globus '\"/O=X/*\"'\n" + block + `cond_subjects globus '"/O=Grid/*"'`, ""},
		"another pattern":         {block + `cond_subjects globus '"/O=Other/*"'`, trust.SigningPolicy},
		"a prefix without a star": {block + `cond_subjects globus '"/O=Grid/"'`, trust.SigningPolicy},
		"a suffix":                {block + `cond_subjects globus '"*/CN=Jane"'`, trust.SigningPolicy},
		"a dot is a dot":          {block + `cond_subjects globus '"/O.Grid/*"'`, trust.SigningPolicy},
		"another CA":              {strings.Replace(block, "Test CA", "Other CA", 1) + `cond_subjects globus '"/O=Grid/*"'`, trust.SigningPolicy},
		"no pattern":              {block, trust.SigningPolicy},
		"empty":                   {"", trust.SigningPolicy},
		"no right to sign":        {strings.Replace(block, "pos_rights globus CA:sign\n", "", 1) + `cond_subjects globus '"/O=Grid/*"'`, trust.SigningPolicy},
		"negative right":          {strings.Replace(block, "pos_rights", "neg_rights", 1) + `cond_subjects globus '"/O=Grid/*"'`, trust.SigningPolicy},
		"open quote":              {block + `cond_subjects globus '"/O=Grid/*`, trust.SigningPolicy},
		"open inner quote":        {block + `cond_subjects globus '"/O=Grid/*" "/O=Grid'`, trust.SigningPolicy},
		"two words":               {block + "globus CA:sign\ncond_subjects globus '\"/O=Grid/*\"'", trust.SigningPolicy},
		"something else":          {block + "whatever globus x\ncond_subjects globus '\"/O=Grid/*\"'", trust.SigningPolicy},
		"something else behind":   {block + `cond_subjects globus '"/O=Grid/*"'` + "\nwhatever globus x", trust.SigningPolicy},
		"other rights behind":     {block + `cond_subjects globus '"/O=Grid/*"'` + "\nneg_rights globus CA:revoke", ""},
		"subjects twice":          {block + "cond_subjects globus '\"/O=X/*\"'\ncond_subjects globus '\"/O=Grid/*\"'", trust.SigningPolicy},
		"the right taken away":    {block + `cond_subjects globus '"/O=Grid/*"'` + "\nneg_rights globus CA:sign", trust.SigningPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			checkPolicy(t, ".signing_policy", test.file, test.code)
		})
	}
}

func TestVerify_Namespaces(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		code trust.Code
	}{
		"by name":           {`TO Issuer "/O=Grid/OU=gsigw test/CN=Test CA" PERMIT Subject "/O=Grid/.*"`, ""},
		"itself":            {`TO Issuer SELF PERMIT Subject "/O=Grid/OU=gsigw test/CN=[A-Z]ane Doe"`, ""},
		"over two lines":    {"#NAMESPACES-VERSION: 1.0\nTO Issuer SELF \\\n  PERMIT Subject \"/O=Grid/.*\"\n", ""},
		"second rule":       {"TO Issuer SELF PERMIT Subject \"/O=X/.*\"\nTO Issuer SELF PERMIT Subject \"/O=Grid/.*\"", ""},
		"an alternative":    {`TO Issuer SELF PERMIT Subject "/O=X|/O=Grid/.*"`, ""},
		"a prefix":          {`TO Issuer SELF PERMIT Subject "/O=Grid/"`, trust.SigningPolicy},
		"a suffix":          {`TO Issuer SELF PERMIT Subject "CN=Jane Doe"`, trust.SigningPolicy},
		"an alternative, 2": {`TO Issuer SELF PERMIT Subject "/O=Grid|/O=X/.*"`, trust.SigningPolicy},
		"another CA":        {`TO Issuer "/O=Grid/OU=gsigw test/CN=Other CA" PERMIT Subject ".*"`, trust.SigningPolicy},
		"not a rule":        {"TO Issuer SELF PERMIT Subject \".*\"\nTO Issuer SELF ALLOW Subject \"/O=Y\"", trust.SigningPolicy},
		"it never ends":     {"TO Issuer SELF PERMIT Subject \".*\"\nTO Issuer SELF \\", trust.SigningPolicy},
		"DENY of another":   {"TO Issuer SELF PERMIT Subject \".*\"\nTO Issuer SELF DENY Subject \"/O=Y\"", ""},
		"DENY":              {"TO Issuer SELF PERMIT Subject \".*\"\nTO Issuer SELF DENY Subject \"/O=Grid/.*\"", trust.SigningPolicy},
		"DENY first":        {"TO Issuer SELF DENY Subject \"/O=Grid/.*\"\nTO Issuer SELF PERMIT Subject \".*\"", trust.SigningPolicy},
		"not an expression": {`TO Issuer SELF PERMIT Subject "/O=Grid/(.*"`, trust.SigningPolicy},
		"empty":             {"", trust.SigningPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			checkPolicy(t, ".namespaces", test.file, test.code)
		})
	}
}

func checkPolicy(t *testing.T, suffix, content string, code trust.Code) {
	t.Helper()
	pki := newPKI(t)
	if err := os.WriteFile(filepath.Join(pki.TrustDir, pki.CA.Hashes()[1]+suffix), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, pki.TrustDir, trust.Options{}).Verify(proxy(t, pki, gsi.Limits{}).Chain, now)
	if code == "" && err != nil {
		t.Error(err)
	}
	if code != "" {
		refused(t, err, code)
	}
}

// What cannot be read is named by file and line, when the directory is read and when a chain fails for it.
func TestVerify_SaysWhichLineOfWhichPolicyCannotBeRead(t *testing.T) {
	for suffix, content := range map[string]string{
		".namespaces":     "# all\nTO Issuer SELF \\\n PERMIT Subject \"/O=Grid/.*\"\nnonsense\n",
		".signing_policy": "access_id_CA X509 '/O=Grid/OU=gsigw test/CN=Test CA'\npos_rights globus CA:sign\n\nnonsense",
	} {
		pki := newPKI(t)
		name := pki.CA.Hashes()[0] + suffix
		os.WriteFile(filepath.Join(pki.TrustDir, name), []byte(content), 0o644)
		store := open(t, pki.TrustDir, trust.Options{})
		problems := store.Problems()
		if len(problems) != 1 || problems[0].File != name || !strings.HasPrefix(problems[0].Err.Error(), "line 4: ") {
			t.Error(problems)
		}
		_, err := store.Verify(pki.User.Chain, now)
		refused(t, err, trust.SigningPolicy)
		for _, word := range []string{name, "line 4", "cannot be read"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("no %q in: %v", word, err)
			}
		}
	}
}

func TestVerify_WithoutSigningPolicyOnlyWhereNoneIsRequired(t *testing.T) {
	pki := newPKI(t)
	for _, hash := range pki.CA.Hashes() {
		os.Remove(filepath.Join(pki.TrustDir, hash+".signing_policy"))
	}
	if _, err := open(t, pki.TrustDir, trust.Options{}).Verify(pki.User.Chain, now); err != nil {
		t.Error(err)
	}
	_, err := open(t, pki.TrustDir, trust.Options{RequireSigningPolicy: true}).Verify(pki.User.Chain, now)
	refused(t, err, trust.NoSigningPolicy)
}

func TestVerify_FindsThePolicyByTheNameOfTheCAsFile(t *testing.T) {
	pki := newPKI(t)
	for _, hash := range pki.CA.Hashes() {
		os.Remove(filepath.Join(pki.TrustDir, hash+".signing_policy"))
	}
	writePEM(t, filepath.Join(pki.TrustDir, "Test-CA.pem"), "CERTIFICATE", pki.CA.Cert.Raw)
	os.WriteFile(filepath.Join(pki.TrustDir, "Test-CA.namespaces"), []byte(`TO Issuer SELF PERMIT Subject "/O=X"`), 0o644)
	_, err := open(t, pki.TrustDir, trust.Options{}).Verify(pki.User.Chain, now)
	refused(t, err, trust.SigningPolicy)
}

func TestVerify_OldSpellingsInPoliciesStillCount(t *testing.T) {
	pki := newPKI(t)
	for _, suffix := range pki.CA.Hashes() {
		os.WriteFile(filepath.Join(pki.TrustDir, suffix+".signing_policy"), []byte(
			"access_id_CA X509 '/O=Grid/OU=gsigw test/CN=Test CA'\npos_rights globus CA:sign\ncond_subjects globus '\"/O=Grid/USERID=*/Email=*\"'\n"), 0o644)
	}
	user := issue(t, pki.CA, gridtest.Request{Name: "/O=Grid/UID=jane/emailAddress=jane@example.org"})
	if _, err := open(t, pki.TrustDir, trust.Options{}).Verify(user.Chain, now); err != nil {
		t.Error(err)
	}
}
