package soap

import (
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"gsigw/soap/xmlscan"
)

func TestEncoded_AgreesWithBase64Everywhere(t *testing.T) {
	for _, size := range []int{0, 1, 2, 3, 4, 100} {
		raw := strings.Repeat("0123456789", 11)[:size]
		want := base64.StdEncoding.EncodeToString([]byte(raw))
		e := encoded{xmlscan.Memory(raw)}
		if e.Size() != int64(len(want)) {
			t.Fatalf("Size %d of %q", e.Size(), want)
		}
		for off := range len(want) + 2 {
			for n := range len(want) + 2 {
				a, b := make([]byte, n), make([]byte, n)
				wantN, wantErr := strings.NewReader(want).ReadAt(a, int64(off))
				gotN, gotErr := e.ReadAt(b, int64(off))
				if gotN != wantN || string(a) != string(b) || n > 0 && gotErr != wantErr {
					t.Errorf("%d bytes at %d of %q: %d, %v, %q", n, off, want, gotN, gotErr, b)
				}
			}
		}
	}
}

func TestEncoded_GoesOnBeyondOneBlock(t *testing.T) {
	raw := strings.Repeat("0123456789", 3*groups/2)
	e := encoded{xmlscan.Memory(raw)}
	got, err := io.ReadAll(io.NewSectionReader(e, 0, e.Size()))
	if err != nil || string(got) != base64.StdEncoding.EncodeToString([]byte(raw)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestEncoded_FailsWhereItsSourceEndsEarly(t *testing.T) {
	e := encoded{short{xmlscan.Memory("01234567890123456789")}}
	if _, err := e.ReadAt(make([]byte, 40), 0); err != io.ErrUnexpectedEOF {
		t.Errorf("%v", err)
	}
}

// short says that it is longer than it is.
type short struct{ xmlscan.Memory }

func (s short) Size() int64 { return s.Memory.Size() + 10 }
