package gridtest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/beevik/etree"

	"gsigw/soap"
)

// The namespaces of the counter service.
const (
	counterSpace            = "http://counter.com"
	resourcePropertiesSpace = "http://docs.oasis-open.org/wsrf/2004/06/wsrf-WS-ResourceProperties-1.2-draft-01.xsd"
	resourceLifetimeSpace   = "http://docs.oasis-open.org/wsrf/2004/06/wsrf-WS-ResourceLifetime-1.2-draft-01.xsd"
)

// call does what the message asks for, and gives the content of the reply's Body.
func (s *StandIn) call(m *soap.Message, request []byte) (string, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(request); err != nil {
		return "", err
	}
	body := doc.FindElement("/Envelope/Body/*")
	if body == nil {
		return "", &gt4Fault{"soapenv:Server.userException", "the Body is empty"}
	}
	if (m.Operation == soap.Name{Space: counterSpace, Local: "createCounter"}) {
		return s.create(), nil
	}
	key := ""
	if header := doc.FindElement("/Envelope/Header/CounterKey"); header != nil {
		key = strings.TrimSpace(header.Text())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.counters[key]; !ok {
		return "", &gt4Fault{"soapenv:Server.userException", "org.globus.wsrf.NoSuchResourceException"}
	}
	switch m.Operation {
	case soap.Name{Space: counterSpace, Local: "add"}:
		return s.add(key, body)
	case soap.Name{Space: resourcePropertiesSpace, Local: "GetResourceProperty"}:
		return s.property(key, body)
	case soap.Name{Space: resourceLifetimeSpace, Local: "Destroy"}:
		delete(s.counters, key)
		return fmt.Sprintf(`<DestroyResponse xmlns="%s"/>`, resourceLifetimeSpace), nil
	}
	return "", &gt4Fault{"soapenv:Server.userException", fmt.Sprintf("No such operation %q", m.Operation.Local)}
}

func (s *StandIn) create() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strconv.Itoa(int(rand.Int32()))
	s.counters[key] = 0
	return fmt.Sprintf(`<createCounterResponse xmlns="%s"><wsa:EndpointReference><wsa:Address>%s</wsa:Address>`+
		`<wsa:ReferenceProperties><CounterKey>%s</CounterKey></wsa:ReferenceProperties><wsa:ReferenceParameters/>`+
		`</wsa:EndpointReference></createCounterResponse>`, counterSpace, s.URL(), key)
}

func (s *StandIn) add(key string, body *etree.Element) (string, error) {
	n, err := strconv.Atoi(strings.TrimSpace(body.Text()))
	if err != nil {
		return "", &gt4Fault{"soapenv:Server.userException", "java.lang.NumberFormatException"}
	}
	s.counters[key] += n
	return fmt.Sprintf(`<addResponse xmlns="%s">%d</addResponse>`, counterSpace, s.counters[key]), nil
}

func (s *StandIn) property(key string, body *etree.Element) (string, error) {
	if _, local, _ := strings.Cut(strings.TrimSpace(body.Text()), ":"); local != "Value" {
		return "", &gt4Fault{"soapenv:Server.userException", "InvalidResourcePropertyQNameFault"}
	}
	return fmt.Sprintf(`<ns1:GetResourcePropertyResponse xmlns:ns1="%s"><ns2:Value xmlns:ns2="%s">%d</ns2:Value></ns1:GetResourcePropertyResponse>`,
		resourcePropertiesSpace, counterSpace, s.counters[key]), nil
}
