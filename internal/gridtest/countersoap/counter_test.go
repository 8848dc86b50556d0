package countersoap

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/beevik/etree"
	"github.com/hooklift/gowsdl/soap"
)

// exchange answers one call with reply and gives the request as the service saw it.
func exchange(t *testing.T, reply string, call func(CounterPortType) error) (action, body string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		action, body = r.Header.Get("SOAPAction"), string(text)
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		io.WriteString(w, `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>`+
			reply+`</soapenv:Body></soapenv:Envelope>`)
	}))
	defer srv.Close()
	if err := call(NewCounterPortType(soap.NewClient(srv.URL))); err != nil {
		t.Fatal(err)
	}
	return action, body
}

func bodyChild(t *testing.T, envelope string) *etree.Element {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(envelope); err != nil {
		t.Fatal(err)
	}
	return doc.FindElement("//Body/*")
}

func TestAdd_HasTheWireFormOfGT4(t *testing.T) {
	action, body := exchange(t, `<addResponse xmlns="http://counter.com">12</addResponse>`, func(c CounterPortType) error {
		reply, err := c.AddContext(t.Context(), &Add{Value: 5})
		if err == nil && reply.Value != 12 {
			t.Errorf("reply %d, want 12", reply.Value)
		}
		return err
	})
	if want := "http://counter.com/CounterPortType/addRequest"; strings.Trim(action, `"`) != want {
		t.Errorf("SOAPAction %s, want %s", action, want)
	}
	add := bodyChild(t, body)
	if add.Tag != "add" || add.NamespaceURI() != "http://counter.com" || add.Text() != "5" {
		t.Errorf("body %s", body)
	}
}

func TestCreateCounter_ReadsTheEndpoint(t *testing.T) {
	const reply = `<createCounterResponse xmlns="http://counter.com" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/03/addressing">` +
		`<wsa:EndpointReference><wsa:Address>http://h/wsrf/services/CounterService</wsa:Address>` +
		`<wsa:ReferenceProperties><CounterKey>1292939386</CounterKey></wsa:ReferenceProperties>` +
		`<wsa:ReferenceParameters/></wsa:EndpointReference></createCounterResponse>`
	exchange(t, reply, func(c CounterPortType) error {
		r, err := c.CreateCounterContext(t.Context(), &CreateCounter{})
		if err != nil {
			return err
		}
		if epr := r.EndpointReference; epr.Address != "http://h/wsrf/services/CounterService" ||
			epr.ReferenceProperties.Items[0] != "1292939386" {
			t.Errorf("endpoint %+v", epr)
		}
		return nil
	})
}

func TestGetResourceProperty_QualifiesTheName(t *testing.T) {
	const reply = `<GetResourcePropertyResponse xmlns="` + resourceProperties + `">` +
		`<n:Value xmlns:n="http://counter.com">5</n:Value></GetResourcePropertyResponse>`
	_, body := exchange(t, reply, func(c CounterPortType) error {
		r, err := c.GetResourcePropertyContext(t.Context(), &QName{"http://counter.com", "Value"})
		if err == nil && (len(r.Items) != 1 || r.Items[0] != "5") {
			t.Errorf("items %q, want 5", r.Items)
		}
		return err
	})
	get := bodyChild(t, body)
	prefix, local, _ := strings.Cut(get.Text(), ":")
	if get.Tag != "GetResourceProperty" || get.NamespaceURI() != resourceProperties || local != "Value" ||
		get.SelectAttrValue("xmlns:"+prefix, "") != "http://counter.com" {
		t.Errorf("body %s", body)
	}
}

// TestCounterWSDL_RepeatsTheWSRFOperations holds the copy in counter.wsdl to the port types on their own.
func TestCounterWSDL_RepeatsTheWSRFOperations(t *testing.T) {
	counter, wsrf := actions(t, "counter.wsdl"), actions(t, "wsrf.wsdl")
	if len(wsrf) == 0 {
		t.Fatal("no operations in wsrf.wsdl")
	}
	for op, action := range wsrf {
		if counter[op] != action {
			t.Errorf("%s: counter.wsdl has action %q, wsrf.wsdl %q", op, counter[op], action)
		}
	}
}

func actions(t *testing.T, name string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../../testdata/wsdl/" + name)
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, op := range doc.FindElements("//portType/operation") {
		found[op.SelectAttrValue("name", "")] = op.FindElement("input").SelectAttrValue("wsa:Action", "")
	}
	return found
}
