package gateway

import (
	"strings"
	"testing"
)

// A stranger's fault is quoted, not relayed: what it costs the engine is bounded.
func TestReply_QuotesOnlyTheBeginningOfAnUnsignedFault(t *testing.T) {
	long := `<soapenv:Fault><faultcode>x</faultcode><faultstring>` + strings.Repeat("é&quot;", 100_000) + `</faultstring></soapenv:Fault>`
	b := newBench(t, answering(500, "text/xml", envelope11(long)))
	w := b.post(add11)
	want(t, w, 500, "c:UnverifiedFault")
	if n := w.Body.Len(); n > 8<<10 {
		t.Errorf("the engine got %d bytes", n)
	}
}
