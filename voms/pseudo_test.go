package voms

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const pseudo = "SIGLEN: 4\nSIGNATURE: \x00\n\xffUUSER: /O=Grid/CN=Jane Doe\nUCA: /O=Grid/CN=CA\nSERVER: /O=Grid/CN=voms\nSCA: /O=Grid/CN=CA\n" +
	"VO: wp6\n030401120000Z\n20030402120000Z\nDATALEN: 45\nGROUP: /wp6\nROLE: admin\nCAP: NULL\nGROUP: x\nRO"

func TestPseudos_ReadsTheOldLayout(t *testing.T) {
	usual := strings.Replace(pseudo, "45\nGROUP: /wp6\nROLE: admin\nCAP: NULL\nGROUP: x\nRO", "34\nGROUP: /wp6\nROLE: admin\nCAP: NULL\n", 1)
	list, err := parsePseudos([]byte(usual + "\n" + strings.Replace(pseudo, "SIGNATURE: ", "SIGNATURE:", 1)))
	if err != nil {
		t.Fatal(err)
	}
	want := &Pseudo{
		User: "/O=Grid/CN=Jane Doe", UserCA: "/O=Grid/CN=CA", Server: "/O=Grid/CN=voms", ServerCA: "/O=Grid/CN=CA", VO: "wp6",
		NotBefore: time.Date(2003, 4, 1, 12, 0, 0, 0, time.UTC), NotAfter: time.Date(2003, 4, 2, 12, 0, 0, 0, time.UTC),
		Triples: []Triple{{Group: "/wp6", Role: "admin", Capability: "NULL"}}, Data: "GROUP: /wp6\nROLE: admin\nCAP: NULL\n",
		Signature: []byte("\x00\n\xffU"),
	}
	if len(list) != 2 || !reflect.DeepEqual(list[0], want) {
		t.Errorf("%+v", list)
	}
	if len(list) == 2 && (list[1].Triples != nil || string(list[1].Signature) != string(want.Signature)) {
		t.Errorf("%+v", list[1])
	}
}

func TestPseudos_RefusesWhatIsCutOff(t *testing.T) {
	for n := 1; n < len(pseudo); n++ {
		if list, err := parsePseudos([]byte(pseudo[:n])); err == nil {
			t.Fatalf("%q is read as %+v", pseudo[:n], list[0])
		}
	}
	for _, change := range [][2]string{{"SIGLEN: 4", "SIGLEN: -4"}, {"DATALEN: 45", "DATALEN: 99999999999999999999"}, {"0304", "9999"}, {"UCA", "UCB"}} {
		if _, err := parsePseudos([]byte(strings.Replace(pseudo, change[0], change[1], 1))); err == nil {
			t.Error(change)
		}
	}
}
