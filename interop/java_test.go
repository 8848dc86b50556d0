package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scratch is a directory that lives as long as the test process: compiled Java classes and the gsigw binary.
var scratch string

// afterTests end what tests share.
var afterTests []func()

func TestMain(m *testing.M) {
	os.Exit(runWithScratch(m))
}

func runWithScratch(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gsigw-interop-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	scratch = dir
	code := m.Run()
	for _, end := range afterTests {
		end()
	}
	return code
}

// compiled holds the programs that are, and the error of those that cannot be.
var compiled = map[string]error{}

// javaCommand compiles java/<program>.java with what it refers to, once, and returns the command that runs it. The
// JVM gets the options before the program's own arguments.
func javaCommand(t testing.TB, program string, jars, options []string, args ...string) *exec.Cmd {
	t.Helper()
	classPath := filepath.Join(scratch, "classes", program)
	for _, jar := range jars {
		classPath += ":" + need(t, jar)
	}
	java, javac := need(t, "java"), need(t, "javac")
	err, done := compiled[program]
	if !done {
		err = compileJava(javac, program, classPath)
		compiled[program] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	full := append(append(jvmOptions(), options...), "-cp", classPath, program)
	return exec.Command(java, append(full, args...)...)
}

// jvmOptions keep a small JVM quiet and quick: Bouncy Castle would spend seconds on proving that no RSA modulus is prime.
func jvmOptions() []string {
	return []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.bouncycastle.rsa.allow_unsafe_mod=true",
		"-Dorg.apache.commons.logging.Log=org.apache.commons.logging.impl.NoOpLog"}
}

func compileJava(javac, program, classPath string) error {
	classes, _, _ := strings.Cut(classPath, ":")
	if err := os.MkdirAll(classes, 0o755); err != nil {
		return err
	}
	cmd := exec.Command(javac, "-nowarn", "-proc:none", "-encoding", "UTF-8", "-d", classes, "-cp", classPath,
		"-sourcepath", "java", filepath.Join("java", program+".java"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("javac %s.java:\n%s", program, out)
	}
	return nil
}
