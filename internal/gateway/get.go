package gateway

import (
	"context"
	"fmt"
	"net/http"

	"gsigw/gsi"
	"gsigw/internal/upstream"
)

// fetch passes on what a service says of itself, ?wsdl and ?xsd, and the paths that a route names for GET. It is no
// SOAP and nobody signed it: it is as good as the route's transport.
func (x *exchange) fetch(ctx context.Context, c *gsi.Credential) (*answer, error) {
	h := x.requestHeader()
	x.trace.sent(http.MethodGet, x.route.Upstream(x.call), h, text(nil))
	r, err := x.do(ctx, c, &upstream.Request{Method: http.MethodGet, Header: h})
	if err != nil {
		return nil, err
	}
	if r.Status != http.StatusOK {
		return nil, &badAnswer{reason: fmt.Sprintf("the service answered HTTP %d", r.Status)}
	}
	a := &answer{status: http.StatusOK, body: stored{r.body}}
	a.header = x.replyHeader(r.Header, "Cache-Control", "Content-Language", "Etag", "Expires", "Last-Modified")
	a.header.Set("Content-Type", "application/octet-stream")
	if kind := r.Header.Get("Content-Type"); kind != "" {
		a.header.Set("Content-Type", kind)
	}
	return a, nil
}
