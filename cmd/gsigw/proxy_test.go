package main

import (
	"strings"
	"testing"
	"time"
)

func TestProxyInfo_ValuesMakeNoLinesOfTheirOwn(t *testing.T) {
	var out strings.Builder
	vo := voFacts{VO: "testvo", FQANs: []string{"/testvo"}, Attributes: []attribute{{"nick", "x\nidentity  : /CN=root\x1b[2J", "testvo"}}}
	vo.print(&out, time.Now())
	if strings.Count(out.String(), "\n") != 8 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", out.String())
	}
}
