package voms

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxRESTTarget keeps a request below the 1024 bytes of a path that VOMS servers (gSOAP) hold: what they would cut off
// could be a restriction.
const maxRESTTarget = 1000

// writeREST asks over HTTP. The connection is for this one request, so nothing follows a redirection or keeps a cookie.
func writeREST(s Server, w *wish) ([]string, error) {
	target := w.target()
	if len(target) > maxRESTTarget {
		return nil, fmt.Errorf("the request has %d bytes, and servers hold %d: ask for fewer attributes", len(target), maxRESTTarget)
	}
	return []string{fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gsigw\r\nAccept: text/xml\r\nConnection: close\r\n\r\n",
		target, s.Address())}, nil
}

func readREST(conn io.Reader) (*answer, error) {
	response, err := http.ReadResponse(bufio.NewReader(&bounded{conn, maxAnswer}), nil)
	if err != nil {
		return nil, explain(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, explain(err)
	}
	if response.StatusCode/100 == 3 {
		return nil, fmt.Errorf("HTTP status %s: no redirection is followed: correct the vomses line", excerpt(response.Status))
	}
	// Servers give warnings with status 500, and a good certificate beside them: the status says nothing.
	a, err := parseAnswer("voms", data)
	if err != nil {
		return nil, fmt.Errorf("HTTP status %s: %w", excerpt(response.Status), err)
	}
	return a, nil
}

// target writes the path and query (VOMS 2, src/server/vomsd-rest.cc).
func (w *wish) target() string {
	fqans := "all"
	if len(w.fqans) > 0 {
		fqans = commas(w.fqans, FQAN.String)
	}
	target := fmt.Sprintf("/generate-ac?fqans=%s&lifetime=%d", fqans, w.lifetime)
	if len(w.order) > 0 {
		target += "&order=" + commas(w.order, FQAN.String)
	}
	if len(w.targets) > 0 {
		target += "&targets=" + strings.Join(w.targets, ",")
	}
	return target
}
