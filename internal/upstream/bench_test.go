package upstream

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// BenchmarkDo is one call of 2 KB each way on a kept connection: what the dialler adds to a message.
func BenchmarkDo(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 2<<10)
	g := newGrid(b, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write(body)
	}, nil)
	target, c := g.target(b), New(Config{Trust: g.ca})
	b.ReportAllocs()
	for b.Loop() {
		reply, err := c.Do(b.Context(), target, &Request{Method: "POST", Body: bytes.NewReader(body), Length: int64(len(body))})
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, reply.Body)
		reply.Body.Close()
	}
}
