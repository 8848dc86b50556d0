package myproxy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrIdentity says that a server answered which is not the one that was meant. Nothing was sent to it.
var ErrIdentity = errors.New("myproxy: not the server that was meant")

// ErrAuthorization says that the server wants a proof that was not given with the request, and that none but the
// caller can give: the passphrase, or the credential to be renewed.
var ErrAuthorization = errors.New("myproxy: the server wants another authorization")

// ErrProtocol says that what the server sent is not MyProxy, or more than is taken.
var ErrProtocol = errors.New("myproxy: the server does not keep to the protocol")

// ErrUntrusted says that the server kept to the protocol, but that the credential it gave is not the one asked for, or
// not to be trusted.
var ErrUntrusted = errors.New("myproxy: the credential from the server is refused")

// ServerError is the server's own refusal.
type ServerError struct {
	Command string // what was asked: GET, PUT, INFO, ...
	Message string // the server's words, a line each; control characters are replaced by "?"
}

func (e *ServerError) Error() string {
	words := strings.Join(strings.FieldsFunc(e.Message, func(r rune) bool { return r == '\n' }), "; ")
	if words == "" {
		words = "it gives no reason; its log may"
	}
	return fmt.Sprintf("myproxy: the server refuses %s: %s", e.Command, words)
}

// timeoutError says that the time for a call is up. It is a context.DeadlineExceeded.
type timeoutError struct {
	command string
	addr    string // host:port
	within  time.Duration
	err     error // where that ended the exchange
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("myproxy: %s: no answer from %s within %v", e.command, e.addr, e.within)
}

func (e *timeoutError) Unwrap() []error { return []error{context.DeadlineExceeded, e.err} }

// maxWords bounds what is kept of a server's words, in bytes.
const maxWords = 4096

// serverError makes an error of the lines of a refusal.
func serverError(c command, lines []string, secrets []Secret) *ServerError {
	words := redact(strings.Join(lines, "\n"), secrets)
	lines = strings.Split(words[:min(len(words), maxWords)], "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(harmless(line))
	}
	return &ServerError{Command: c.String(), Message: strings.Trim(strings.Join(lines, "\n"), "\n")}
}

// redact takes secrets out of words of a server, which may quote what it was sent. They may have been quoted again, by
// %q, or be harmless already. A secret that is a common word is left in what servers say of any secret.
func redact(words string, secrets []Secret) string {
	var long, short []string
	for _, s := range secrets {
		quoted := strconv.Quote(string(s))
		spellings := []string{string(s), quoted[1 : len(quoted)-1], harmless(string(s))}
		if len(s) < 8 {
			short = append(short, spellings...)
			continue
		}
		long = append(long, spellings...)
	}
	words, done, kept := replaceAll(words, long), "", 0
	for _, at := range ordinary.FindAllStringIndex(words, -1) {
		done += replaceAll(words[kept:at[0]], short) + words[at[0]:at[1]]
		kept = at[1]
	}
	return done + replaceAll(words[kept:], short)
}

// ordinary is what servers say of a passphrase without quoting it.
var ordinary = regexp.MustCompile(`(?i)\bpass ?phrase (is )?too short\b|\bpass ?phrase must be at least \d+ characters( long)?\b|` +
	`\b(invalid|bad|wrong|incorrect|no)( credential)? (pass ?phrase|password)\b|\bunable to change pass ?phrase\b|` +
	`\b(PAM )?authentication fail(ed|ure)\b|\bauthorization failed\b`)

func replaceAll(words string, secrets []string) string {
	// The longest first: one may be a part of the other.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, s := range secrets {
		if s != "" {
			words = strings.ReplaceAll(words, s, redacted)
		}
	}
	return words
}

// withoutSecrets is the last that happens to an error of an exchange, whatever part of it quotes the server: its text
// has no secret, and an end.
func withoutSecrets(err error, secrets []Secret) error {
	if err == nil {
		return nil
	}
	_, refused := errors.AsType[*ServerError](err)
	_, silent := errors.AsType[*timeoutError](err)
	if refused || silent {
		return err // is without them from the start
	}
	text := redact(err.Error(), secrets)
	text = text[:min(len(text), maxWords)]
	if text == err.Error() {
		return err
	}
	return &discreet{text, err}
}

// discreet is an error that must not be read as it is. What it is can be asked all the same.
type discreet struct {
	text string
	err  error
}

func (d *discreet) Error() string { return d.text }

func (d *discreet) Is(target error) bool { return errors.Is(d.err, target) }

// harmless replaces what could steer a terminal or forge a line of a log.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)
}

func untrusted(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUntrusted}, args...)...)
}
