package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() { commands["measure"] = measure }

// measure runs a command and writes the most memory that it had resident, in KiB, to file descriptor 3. It is a small
// process of its own since the kernel counts what the parent had before exec as the child's.
func measure() {
	c := exec.Command(os.Args[1], os.Args[2:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := c.Run()
	if c.ProcessState != nil {
		fmt.Fprint(os.NewFile(3, "measured"), c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// measured is gsigw as it is shipped, with a user and a place to work.
type measured struct {
	testing.TB
	gsigw, dir string
}

func newMeasured(t testing.TB) *measured {
	t.Helper()
	m := &measured{t, filepath.Join(t.TempDir(), "gsigw"), t.TempDir()}
	if out, err := exec.Command("go", "build", "-o", m.gsigw, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := makePKI(filepath.Join(m.dir, "pki")); err != nil {
		t.Fatal(err)
	}
	return m
}

// run gives the megabytes that were resident at most, and the time taken.
func (m *measured) run(in io.Reader, out io.Writer, args ...string) (resident float64, took time.Duration) {
	m.Helper()
	result, write, err := os.Pipe()
	if err != nil {
		m.Fatal(err)
	}
	defer result.Close()
	c := exec.Command("measure", append([]string{m.gsigw}, args...)...)
	var said strings.Builder
	c.Dir, c.Stdin, c.Stdout, c.Stderr, c.ExtraFiles = m.dir, in, out, &said, []*os.File{write}
	began := time.Now()
	err = c.Run()
	took = time.Since(began)
	write.Close()
	if err != nil {
		m.Fatalf("gsigw %s: %v %s", strings.Join(args, " "), err, said.String())
	}
	text, err := io.ReadAll(result)
	if err != nil {
		m.Fatal(err)
	}
	kib, err := strconv.Atoi(string(text))
	if err != nil {
		m.Fatalf("measured %q", text)
	}
	return float64(kib) / 1024, took
}

// idle is what a command takes that does nothing.
func (m *measured) idle() float64 {
	m.Helper()
	resident, _ := m.run(nil, io.Discard, "version")
	return resident
}

// signed signs a message of some size into a file.
func (m *measured) signed(size int64) (file string, resident float64, took time.Duration) {
	m.Helper()
	file = filepath.Join(m.dir, "signed.xml")
	out, err := os.Create(file)
	if err != nil {
		m.Fatal(err)
	}
	defer out.Close()
	resident, took = m.run(manyElements(size), out, "sign", "--credential", "pki/proxy.pem")
	return file, resident, took
}

func (m *measured) verified(file string, out io.Writer) (resident float64, took time.Duration) {
	m.Helper()
	in, err := os.Open(file)
	if err != nil {
		m.Fatal(err)
	}
	defer in.Close()
	return m.run(in, out, "verify", "--trust", "pki/certificates")
}

// manyElements is a request of some size.
func manyElements(size int64) io.Reader {
	return messageOf(`<a:MessageID xmlns:a="http://www.w3.org/2005/08/addressing">urn:uuid:1</a:MessageID>`+
		`<a:Action xmlns:a="http://www.w3.org/2005/08/addressing">urn:many</a:Action>`, size)
}

// messageOf is a message of some size, made while it is read: elements, attributes, and what canonical XML changes.
func messageOf(header string, size int64) io.Reader {
	const (
		item  = `<m:item n="7" k='8'><m:a>text &amp; more</m:a><m:b y="1" x="2"/><m:c>0123456789</m:c></m:item>`
		after = `</m:many></e:Body></e:Envelope>`
	)
	before := `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header>` + header +
		`</e:Header><e:Body><m:many xmlns:m="urn:many">`
	n := (size-int64(len(before)+len(after)))/int64(len(item)) + 1
	return io.MultiReader(strings.NewReader(before), &repeated{item: item, left: n * int64(len(item))}, strings.NewReader(after))
}

// repeated is an item over and over.
type repeated struct {
	item string
	at   int
	left int64
}

func (r *repeated) Read(b []byte) (n int, err error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), r.left)]
	for n < len(b) {
		k := copy(b[n:], r.item[r.at:])
		n, r.at = n+k, (r.at+k)%len(r.item)
	}
	r.left -= int64(n)
	return n, nil
}

func TestMemory_DoesNotGrowWithTheMessage(t *testing.T) {
	const (
		size  = 64 << 20
		bound = 40 // MB above idle; in memory the message alone would take more
	)
	m := newMeasured(t)
	idle := m.idle()
	file, sign, _ := m.signed(size)
	var printed counter
	verify, _ := m.verified(file, &printed)
	t.Logf("idle %.1f MB; a message of %d MiB: sign %.1f MB, verify %.1f MB above", idle, size>>20, sign-idle, verify-idle)
	if sign-idle > bound || verify-idle > bound {
		t.Errorf("more than %d MB above idle", bound)
	}
	if printed < size*9/10 {
		t.Errorf("verify printed %d bytes", printed)
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// BenchmarkOneGigabyte prints what is resident above idle, at most: 64 MB are allowed.
func BenchmarkOneGigabyte(b *testing.B) {
	const size = 1 << 30
	m := newMeasured(b)
	idle := m.idle()
	var file string
	for _, step := range []struct {
		name string
		do   func() (float64, time.Duration)
	}{
		{"sign", func() (resident float64, took time.Duration) {
			file, resident, took = m.signed(size)
			return resident, took
		}},
		{"verify", func() (float64, time.Duration) { return m.verified(file, io.Discard) }},
	} {
		b.Run(step.name, func(b *testing.B) {
			for b.Loop() {
				resident, took := step.do()
				b.ReportMetric(resident-idle, "MB-above-idle")
				b.ReportMetric(size/1e6/took.Seconds(), "MB/s")
			}
			b.ReportMetric(idle, "MB-idle")
		})
	}
}
