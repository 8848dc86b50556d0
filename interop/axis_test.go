package interop

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"gsigw/internal/gridtest"
)

var axisJars = append([]string{"axis.jar", "axis-jaxrpc.jar", "axis-saaj.jar", "commons-discovery.jar", "wsdl4j.jar"}, wss4jJars...)

// An axisService is java/AxisService.java running: an Axis 1.4 service behind WSS4J.
type axisService struct {
	port  string
	lines <-chan string
}

// startAxisService starts it over "plain" HTTP or "tls"; it ends with the test.
func startAxisService(t testing.TB, g *grid, transport string) *axisService {
	t.Helper()
	cmd := javaCommand(t, "AxisService", axisJars, nil, g.host, g.TrustDir, transport)
	s := &axisService{lines: startPeer(t, cmd, true)}
	s.port = strings.TrimPrefix(s.next(t), "port ")
	return s
}

// next is the next line that the service writes: "caller DN" or "refused REASON" for each request.
func (s *axisService) next(t testing.TB) string {
	t.Helper()
	return nextLine(t, s.lines)
}

// startPeer starts a program that runs until its standard input ends (endsWithInput) or it is killed, by the end of
// the test at the latest. The channel brings the lines of its standard output, and of its standard error.
func startPeer(t testing.TB, cmd *exec.Cmd, endsWithInput bool) <-chan string {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(lines)
		for in := bufio.NewScanner(read); in.Scan(); {
			lines <- in.Text()
		}
	})
	t.Cleanup(func() {
		in.Close()
		if !endsWithInput {
			cmd.Process.Kill()
		}
		cmd.Wait()
		write.Close()
		reading.Wait()
	})
	return lines
}

func nextLine(t testing.TB, lines <-chan string) string {
	t.Helper()
	select {
	case line, open := <-lines:
		if !open {
			t.Fatal("the peer has ended")
		}
		return line
	case <-time.After(time.Minute):
		t.Fatal("the peer says nothing")
	}
	return ""
}

// callAxis runs the Axis client: add(number) at the URL, with WS-Addressing headers if a namespace is given.
func callAxis(t testing.TB, jvm []string, url, number string, addressing ...string) string {
	t.Helper()
	return strings.TrimSpace(run(t, javaCommand(t, "AxisClient", axisJars, jvm, append([]string{url, number}, addressing...)...)))
}

// The service does what the suite relies on: it takes what WSS4J signs as the user, refuses the rest, and each kind of
// its replies is what it says.
func TestAxisServiceAlone(t *testing.T) {
	g := newGrid(t)
	service := startAxisService(t, g, "plain")
	request := wss4jSign(t, signingCase{credential: g.proxy(t), digest: "sha1", token: "pkipath"})
	post := func(kind, message string) string {
		url := "http://127.0.0.1:" + service.port + "/" + kind + "/services/Counter"
		reply, err := http.Post(url, "text/xml", bytes.NewReader([]byte(message)))
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		body, _ := io.ReadAll(reply.Body)
		return string(body)
	}
	for _, c := range []struct{ kind, said, verifies, holds string }{
		{"axis", "caller " + gridtest.UserName, "", ">uuid:561e7b00-e5dc-11f1-88c5-88714967ae9a<"},
		{"tampered", "caller " + gridtest.UserName, "signature or decryption was invalid", ">1000000<"},
		{"unsigned", "caller " + gridtest.UserName, "no wsse:Security header", ">15<"},
		{"mixed-up", "caller " + gridtest.UserName, "", ">uuid:of-another-message<"},
	} {
		reply := post(c.kind, request)
		if said := service.next(t); said != c.said {
			t.Errorf("%s: the service says %q", c.kind, said)
		}
		_, err := wss4j(t, reply, "verify", g.TrustDir)
		if (err == nil) != (c.verifies == "") || err != nil && !strings.Contains(err.Error(), c.verifies) {
			t.Errorf("%s: want %q, got %v", c.kind, c.verifies, err)
		}
		if !strings.Contains(reply, c.holds) {
			t.Errorf("%s: no %s in %s", c.kind, c.holds, reply)
		}
	}
	for message, said := range map[string]string{
		plainMessage:         "refused no wsse:Security header",
		tampered(t, request): "refused The signature or decryption was invalid",
	} {
		post("axis", message)
		if got := service.next(t); got != said {
			t.Errorf("the service says %q, want %q", got, said)
		}
	}
	url := "http://127.0.0.1:" + service.port + "/axis/services/Counter"
	if out := callAxis(t, nil, url, "5"); !strings.Contains(out, "no wsse:Security header") {
		t.Errorf("the client by itself got %q", out)
	}
}
