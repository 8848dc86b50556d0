// Package countersoap is an engine's view of the GT4 counter service: stubs that gowsdl makes from
// testdata/wsdl/counter.wsdl, as a workflow engine would have its own. They know no security at all; they talk to the
// gateway in the integration tests:
//
//	client := soap.NewClient(url, soap.WithHTTPClient(throughTheProxy))
//	counter := countersoap.NewCounterPortType(client)
//	reply, err := counter.AddContext(ctx, &countersoap.Add{Value: 5})
//
// This file holds the one type that gowsdl leaves out.
package countersoap

//go:generate go tool gowsdl -d .. -p countersoap -o stubs.go ../../../testdata/wsdl/counter.wsdl

import "encoding/xml"

const resourceProperties = "http://docs.oasis-open.org/wsrf/2004/06/wsrf-WS-ResourceProperties-1.2-draft-01.xsd"

// QName is an xsd:QName, as the name of a resource property.
type QName struct{ Space, Local string }

// MarshalXML declares the namespace on the element that holds the name. As a message of its own the element is
// GetResourceProperty, whose name gowsdl loses.
func (q *QName) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if start.Name.Local != "ResourceProperty" {
		start.Name = xml.Name{Space: resourceProperties, Local: "GetResourceProperty"}
	}
	start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: "xmlns:p"}, Value: q.Space})
	return e.EncodeElement("p:"+q.Local, start)
}
