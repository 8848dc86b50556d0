// Package interop holds the suites that check gsigw against programs it shares no code with: Apache Santuario,
// libxml2, xmlsec1, WSS4J, OpenSAML, Axis, OpenSSL and ARC, all from Debian packages and all on loopback.
//
// The suites are ordinary Go tests:
//
//	go test ./interop/
//
// A test whose peer is not installed is skipped, with the package to install in its message; under CI=true it fails.
// The tests start their peers themselves, on ports taken at run time, and end them by process id. The Java drivers in
// java/ are compiled once per run; libxml2 is driven through Perl's XML::LibXML (perl/).
package interop
