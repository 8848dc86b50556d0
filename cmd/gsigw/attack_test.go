package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"gsigw/internal/gridtest"
)

// One attack in so many is given to the command; TestAttacks of package wssec takes them all.
const attackSample = 17

// What the library refuses, `gsigw verify` refuses for the same reason, with one line and nothing on standard output;
// what is only another writing prints what the message it was made from does.
func TestVerify_Attacks(t *testing.T) {
	pki := gridtest.Must(gridtest.NewPKI(t.TempDir(), gridtest.PKIOptions{}))
	attacks := gridtest.Must(gridtest.Attacks("../../wssec/testdata/attacks", gridtest.Must(gridtest.AttackBases(pki))))
	for i, a := range attacks {
		if i%attackSample != 0 && a.First == nil {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			code, out, errs := verifyAttack(t, pki, &a)
			if a.Want == "" {
				if want := wantedOutput(t, pki, &a); code != 0 || out != want {
					t.Errorf("%d %s\n%s\nwant\n%s", code, errs, out, want)
				}
				return
			}
			if code != 1 || out != "" || !strings.HasPrefix(errs, fmt.Sprintf("reason=%s: ", a.Want)) || strings.Count(errs, "\n") != 1 {
				t.Errorf("%d %q %q, want %s", code, out, errs, a.Want)
			}
		})
	}
}

// verifyAttack gives the command the message, and before it the one that is to be verified first.
func verifyAttack(t *testing.T, pki *gridtest.PKI, a *gridtest.Attack) (code int, out, errs string) {
	t.Helper()
	args := append(a.Args(pki.TrustDir, pki.Dir), "--print", "text", "--replay-state", filepath.Join(t.TempDir(), "seen"))
	if a.First != nil {
		first := *a
		first.After = 0
		firstArgs := append(first.Args(pki.TrustDir, pki.Dir), args[len(args)-2:]...)
		if code, _, errs := gsigw(a.First, firstArgs); code != 0 {
			t.Fatalf("the first message is refused: %s", errs)
		}
	}
	return gsigw(a.Message, args)
}

// wantedOutput is the text of the message that the attack was made from.
func wantedOutput(t *testing.T, pki *gridtest.PKI, a *gridtest.Attack) string {
	t.Helper()
	base := *a
	base.First, base.After = nil, 0
	code, out, errs := gsigw([]byte(a.Base.Message), append(base.Args(pki.TrustDir, pki.Dir), "--print", "text"))
	if code != 0 {
		t.Fatal(errs)
	}
	return out
}

func gsigw(in []byte, args []string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = command(bytes.NewReader(in), &stdout, &stderr, args...)
	return code, stdout.String(), stderr.String()
}
