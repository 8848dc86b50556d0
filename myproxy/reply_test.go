package myproxy

import (
	"crypto/x509"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"gsigw/gsi"
	"gsigw/internal/gridtest"
)

func TestParseReply_IgnoresLinesThatItDoesNotKnow(t *testing.T) {
	r, err := parseReply([]byte("HELLO\nX=1\nVERSION=MYPROXYv2\n\nRESPONSE=0\nRESPONSE_SIZE=9\nMY_VERSION=3\n"))
	if err != nil || r.response != responseOK {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestParseReply_CountsLinesBeforeItReadsThem(t *testing.T) {
	text := []byte("VERSION=MYPROXYv2\nRESPONSE=0\n" + strings.Repeat("\n", 1<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := parseReply(text)
	runtime.ReadMemStats(&after)
	mustFail(t, err, "1048578 lines; 20000 are taken")
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<18 {
		t.Errorf("%d bytes for a reply of %d", n, len(text))
	}
}

// A credential is looked up as fast in a long reply as in a short one.
func TestParseInfo_TakesNoTimeForLinesThatItDoesNotWant(t *testing.T) {
	took := func(filler int) time.Duration {
		var b strings.Builder
		b.WriteString("VERSION=MYPROXYv2\nRESPONSE=0\nCRED_START_TIME=1\nCRED_END_TIME=2\n" + strings.Repeat("CRED_filler_START_TIME_=\n", filler) + "ADDL_CREDS=")
		for i := range maxListed - 1 {
			fmt.Fprintf(&b, "%x,", i)
		}
		for i := range maxListed - 1 {
			fmt.Fprintf(&b, "\nCRED_%x_START_TIME=1\nCRED_%x_END_TIME=1", i, i)
		}
		r := gridtest.Must(parseReply([]byte(b.String())))
		best := time.Hour
		for range 5 {
			start := time.Now()
			if list, err := parseInfo(r); err != nil || len(list) != maxListed {
				t.Fatal(len(list), err)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	if short, long := took(0), took(maxLines-2*maxListed-10); long > 4*short {
		t.Errorf("%s for a long reply, %s for a short one", long, short)
	}
}

func TestServerError_KeepsItsWordsAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		lines   []string
		secrets []Secret
		want    string
	}{
		{[]string{"one", "two"}, nil, "one; two"},
		{nil, nil, "it gives no reason; its log may"},
		{[]string{"a\x1b[2Jb\rc\u202ed\xff"}, nil, "a?[2Jb?c?d?"},
		{[]string{"it is foobar12 or foobar"}, []Secret{"foobar", "foobar12", ""}, "it is [redacted] or [redacted]"},
		{[]string{"Pass phrase too short: short"}, []Secret{"short"}, "Pass phrase too short: [redacted]"},
		{[]string{"invalid pass phrase", "it is phrase"}, []Secret{"phrase"}, "invalid pass phrase; it is [redacted]"},
		{[]string{"invalid password 12345"}, []Secret{"password 12345"}, "invalid [redacted]"},
	} {
		got := serverError(cmdPut, c.lines, c.secrets).Error()
		if want := "myproxy: the server refuses PUT: " + c.want; got != want {
			t.Errorf("%q\nnot\n%q", got, want)
		}
	}
	if long := serverError(cmdPut, []string{strings.Repeat("x", 1<<20)}, nil); len(long.Message) > maxWords {
		t.Errorf("%d bytes of words", len(long.Message))
	}
}

func TestInfo_ListsWhatIsStored(t *testing.T) {
	f, client := newFake(t, func(v *visit) {
		v.ok("CRED_NAME=day\x1b", "CRED_DESC=by day", "CRED_START_TIME=1700000000", "CRED_END_TIME=1700003600", "CRED_OWNER=/CN=Jane",
			"CRED_RETRIEVER=*", "CRED_RENEWER=/CN=r", "CRED_KEYRETRIEVERS=/CN=k", "CRED_RETRIEVER_TRUSTED=/CN=t", "CRED_LOCKMSG=why",
			"CRED_night_START_TIME=1", "CRED_night_END_TIME=2", "CRED_night_OWNER=/CN=Jane", "CRED_a=b_START_TIME=3", "CRED_a=b_END_TIME=4",
			"CRED_other_OWNER=/CN=X", "ADDL_CREDS=night,a=b")
	})
	got, err := client.Info(t.Context(), InfoRequest{Username: "jane"})
	if err != nil {
		t.Fatal(err)
	}
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	want := []StoredCredential{
		{Name: "day?", Description: "by day", Owner: "/CN=Jane", Start: at(1700000000), End: at(1700003600), Locked: "why",
			Policy: Policy{Retrievers: "*", TrustedRetrievers: "/CN=t", KeyRetrievers: "/CN=k", Renewers: "/CN=r"}},
		{Name: "night", Owner: "/CN=Jane", Start: at(1), End: at(2)},
		{Name: "a=b", Start: at(3), End: at(4)},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if want := "VERSION=MYPROXYv2\nCOMMAND=2\nUSERNAME=jane\nPASSPHRASE=DUMMY-PASSPHRASE\nLIFETIME=0"; f.seen() != want {
		t.Errorf("asked %q", f.seen())
	}
}

func TestInfo_RefusesTimesThatAreNone(t *testing.T) {
	for _, end := range []string{"", "x", "-1", "253402300800", "99999999999999999999"} {
		_, client := newFake(t, func(v *visit) { v.ok("CRED_START_TIME=1", "CRED_END_TIME="+end) })
		_, err := client.Info(t.Context(), InfoRequest{Username: "jane"})
		mustFail(t, err, `"CRED_END_TIME" is no time`)
	}
}

func TestInfo_ListsNothingWhereNothingIs(t *testing.T) {
	_, client := newFake(t, func(v *visit) { v.ok() })
	if got, err := client.Info(t.Context(), InfoRequest{Username: "jane"}); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestParseInfo_RefusesAListWithoutEnd(t *testing.T) {
	r := gridtest.Must(parseReply([]byte("VERSION=MYPROXYv2\nRESPONSE=0\nCRED_START_TIME=1\nCRED_END_TIME=1\nCRED_a_START_TIME=1\nCRED_a_END_TIME=1\nADDL_CREDS=" +
		strings.Repeat("a,", maxListed))))
	_, err := parseInfo(r)
	mustFail(t, err, "more than 1000")
}

func FuzzParseReply(f *testing.F) {
	f.Add([]byte("VERSION=MYPROXYv2\nRESPONSE=0\nCRED_START_TIME=1\nCRED_END_TIME=2\nADDL_CREDS=a\nCRED_a_START_TIME=1\nCRED_a_END_TIME=2\n"))
	f.Add([]byte("VERSION=MYPROXYv2\nRESPONSE=1\nERROR=a\nERROR=b\n"))
	f.Add([]byte("VERSION=MYPROXYv2\nRESPONSE=2\nAUTHORIZATION_DATA=X509_certificate:0123456789abcdef0123456789abcdef\n"))
	f.Add([]byte("VERSION=MYPROXYv2\nRESPONSE=0\nTRUSTED_CERTS=12345678.0,a.info\nFILEDATA_12345678.0=AAAA\nFILEDATA_a.info=AAAA\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseReply(text)
		if err != nil {
			return
		}
		r.offers()
		parseInfo(r)
		if words := serverError(cmdGet, r.values(keyError), []Secret{"x"}).Error(); strings.ContainsAny(words, "x\n\x1b") && !strings.HasPrefix(words, "myproxy: ") {
			t.Errorf("%q", words)
		}
		roots, _ := readTrustRoots(r)
		for name := range roots {
			if strings.ContainsAny(name, "/\\\x00\n") || strings.HasPrefix(name, ".") {
				t.Errorf("%q is a file name", name)
			}
		}
	})
}

func FuzzReadChain(f *testing.F) {
	chain := gridtest.Must(pki().Proxy(gsi.Limits{})).Chain
	f.Add([]byte(chainMessage(chain)), 7)
	f.Add([]byte("\x01\x30\x84\xff\xff\xff\xff"), 1)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		s := &stream{left: maxReply, receive: pieces(data, max(piece, 1))}
		got, err := s.chain()
		if err == nil && !strings.HasPrefix(string(data), chainMessage(got)) {
			t.Errorf("the chain is not what was sent: %d certificates", len(got))
		}
	})
}

// pieces gives data so many bytes at a time.
func pieces(data []byte, size int) func(int) ([]byte, error) {
	return func(limit int) ([]byte, error) {
		if len(data) == 0 {
			return nil, io.EOF
		}
		n := min(size, limit, len(data))
		piece := data[:n]
		data = data[n:]
		return piece, nil
	}
}

func TestEncodeChain_IsReadBack(t *testing.T) {
	chain := gridtest.Must(pki().Proxy(gsi.Limits{})).Chain
	message, err := encodeChain(chain)
	if err != nil || string(message) != chainMessage(chain) {
		t.Fatal(err)
	}
	got, err := (&stream{left: maxReply, receive: pieces(message, 11)}).chain()
	if err != nil || !slices.EqualFunc(got, chain, (*x509.Certificate).Equal) {
		t.Errorf("got %d, %v", len(got), err)
	}
	_, err = encodeChain(make([]*x509.Certificate, maxCertificates+1))
	mustFail(t, err, "too many certificates")
}
