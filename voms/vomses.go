package voms

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"gsigw/gsi"
)

// Server is a line of a vomses file: where the attributes of a VO are to be had, and from whom.
type Server struct {
	Alias  string // what users call the VO
	Host   string
	Port   int
	DN     string // of its certificate: by that alone it is known, whatever its host is called
	VO     string
	Source string // file:line
}

// Address is host:port.
func (s Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Search says where vomses files are looked for. The zero value looks where the grid tools do: at the one place that
// VOMS_USERCONF names or, without it, X509_VOMSES; otherwise everywhere of
//
//	~/.voms/vomses  ~/.glite/vomses  $VOMS_LOCATION/etc/vomses  /etc/vomses  /etc/grid-security/vomses
//
// Each may be a file or a directory of them. In a directory, and the ones inside it, names that start with '.' or end
// in '~' are left out.
type Search struct {
	Paths []string            // if there are any, look here only
	Env   func(string) string // nil: os.Getenv
	Home  string              // empty: the user's
	Root  string              // what stands before /etc, such as the root of an image; empty: this machine's
}

// named returns the places that somebody named: they have to be there.
func (s Search) named() []string {
	if len(s.Paths) > 0 {
		return s.Paths
	}
	if path := cmp.Or(s.env("VOMS_USERCONF"), s.env("X509_VOMSES")); path != "" {
		return []string{path}
	}
	return nil
}

func (s Search) usual() []string {
	home := s.Home
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	var paths []string
	if home != "" {
		paths = append(paths, filepath.Join(home, ".voms/vomses"), filepath.Join(home, ".glite/vomses"))
	}
	if location := s.env("VOMS_LOCATION"); location != "" {
		paths = append(paths, filepath.Join(location, "etc/vomses"))
	}
	return append(paths, s.Root+"/etc/vomses", s.Root+"/etc/grid-security/vomses")
}

func (s Search) env(name string) string {
	if s.Env != nil {
		return s.Env(name)
	}
	return os.Getenv(name)
}

// Servers are the servers that a search found, in the order of the places, the files' names and the lines.
type Servers struct {
	list     []Server
	problems []*VomsesError
	searched []string
	places   []string // those of them that are there
	files    int      // read so far
}

// VomsesError is a line of a vomses file that cannot be used, or the file as a whole when Line is 0.
type VomsesError struct {
	File   string
	Line   int
	Reason string
	Remedy string
}

func (e *VomsesError) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("voms: %s: %s: %s", place, e.Reason, e.Remedy)
}

// FindServers reads the vomses files. What cannot be used is a problem, and harms nothing but itself.
func FindServers(s Search) *Servers {
	named := s.named()
	found := &Servers{searched: named}
	if named == nil {
		found.searched = s.usual()
	}
	for _, path := range found.searched {
		_, err := os.Stat(path)
		switch {
		case err == nil:
			found.places = append(found.places, path)
			found.read(path, 0)
		case named != nil:
			found.problem(path, reasonOf(err), "name a vomses file, or a directory of them")
		}
	}
	return found
}

// Places lists the files and directories that were there and read.
func (s *Servers) Places() []string { return slices.Clone(s.places) }

// All lists the servers.
func (s *Servers) All() []Server { return slices.Clone(s.list) }

// Problems lists what could not be used.
func (s *Servers) Problems() []*VomsesError { return slices.Clone(s.problems) }

// For lists the servers of a VO, in the order in which they are to be asked. The name is the VO's or, where no VO has
// that name, an alias. An error is an *UnknownVOError, or says that the alias stands for several VOs.
func (s *Servers) For(name string) ([]Server, error) {
	servers := s.those(func(have Server) bool { return have.VO == name })
	if len(servers) > 0 {
		return servers, nil
	}
	servers = s.those(func(have Server) bool { return have.Alias == name })
	for _, have := range servers {
		if have.VO != servers[0].VO {
			return nil, fmt.Errorf("voms: %q is an alias of %q (%s) and of %q (%s): name the VO itself",
				name, servers[0].VO, servers[0].Source, have.VO, have.Source)
		}
	}
	if len(servers) == 0 {
		return nil, &UnknownVOError{Name: name, Known: s.vos(), Searched: s.searched, Problems: s.Problems()}
	}
	return servers, nil
}

func (s *Servers) those(match func(Server) bool) []Server {
	var servers []Server
	for _, have := range s.list {
		if match(have) {
			servers = append(servers, have)
		}
	}
	return servers
}

func (s *Servers) vos() []string {
	var vos []string
	for _, have := range s.list {
		vos = append(vos, have.VO)
	}
	slices.Sort(vos)
	return slices.Compact(vos)
}

// UnknownVOError says that no vomses file names a server of the VO.
type UnknownVOError struct {
	Name     string
	Known    []string       // the VOs that have servers
	Searched []string       // where it was looked for
	Problems []*VomsesError // one of these may be why
}

func (e *UnknownVOError) Error() string {
	known := "none"
	if len(e.Known) > 0 {
		known = strings.Join(e.Known, ", ")
	}
	message := fmt.Sprintf("voms: no server of the VO %q is known (known: %s): add its vomses line to one of %s",
		e.Name, known, strings.Join(e.Searched, ", "))
	if len(e.Problems) > 0 {
		message += fmt.Sprintf("; of what is there, %d could not be used: %v", len(e.Problems), e.Problems[0])
	}
	return message
}

const (
	maxVomsesFile  = 1 << 20
	maxVomsesFiles = 1000
	maxVomsesDepth = 4
)

func (s *Servers) problem(file, reason, remedy string) {
	s.problems = append(s.problems, &VomsesError{File: file, Reason: reason, Remedy: remedy})
}

// read reads a file, or what a directory holds.
func (s *Servers) read(path string, depth int) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		s.readDir(path, depth)
		return
	}
	if s.files++; s.files > maxVomsesFiles {
		if s.files == maxVomsesFiles+1 {
			s.problem(path, "it is one file too many", fmt.Sprintf("keep no more than %d", maxVomsesFiles))
		}
		return
	}
	data, err := readVomses(path)
	if err != nil {
		s.problem(path, reasonOf(err), "put a text file there that others may read and only its owner may write")
		return
	}
	servers, problems := ParseVomses(path, data)
	for _, found := range servers {
		if !slices.ContainsFunc(s.list, found.sameAs) {
			s.list = append(s.list, found)
		}
	}
	s.problems = append(s.problems, problems...)
}

func (s *Servers) readDir(path string, depth int) {
	entries, err := os.ReadDir(path)
	switch {
	case err != nil:
		s.problem(path, reasonOf(err), "let this user read it")
		return
	case depth == maxVomsesDepth:
		s.problem(path, "it lies too deep", fmt.Sprintf("nest no more than %d directories", maxVomsesDepth))
		return
	}
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, "~") {
			s.read(filepath.Join(path, name), depth+1)
		}
	}
}

// sameAs: what is named twice is asked once.
func (s Server) sameAs(other Server) bool {
	other.Source = s.Source
	return s == other
}

// readVomses refuses a file that anybody may write: with the DN in it, he would choose who is asked and believed.
func readVomses(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not hold us up
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it is not a regular file")
	case info.Mode().Perm()&0o002 != 0:
		return nil, fmt.Errorf("its mode is %04o: anybody may write it", info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxVomsesFile+1))
	if err == nil && len(data) > maxVomsesFile {
		err = fmt.Errorf("it is larger than %d bytes", maxVomsesFile)
	}
	return data, err
}

// reasonOf leaves out the path, which stands before it already.
func reasonOf(err error) string {
	if e, ok := err.(*fs.PathError); ok {
		err = e.Err
	}
	return err.Error()
}

// ParseVomses reads the lines of a vomses file; name is the file's, for [Server.Source] and problems:
//
//	"alias" "host" "port" "DN of the server" "vo" "version of Globus"
//
// The last field may be missing and means nothing today. Empty lines and comments after '#' are left out. There is no
// way to write a double quote inside of a field.
func ParseVomses(name string, data []byte) ([]Server, []*VomsesError) {
	var servers []Server
	var problems []*VomsesError
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	number := 0
	for line := range strings.SplitSeq(string(data), "\n") {
		number++
		fields, err := vomsesFields(strings.TrimSuffix(line, "\r"))
		if err == nil && len(fields) == 0 {
			continue
		}
		server := Server{Source: fmt.Sprintf("%s:%d", name, number)}
		if err == nil {
			err = server.set(fields)
		}
		if err != nil {
			problems = append(problems, &VomsesError{name, number, err.Error(), vomsesForm})
			continue
		}
		servers = append(servers, server)
	}
	return servers, problems
}

const vomsesForm = `write it as "alias" "host" "port" "/DN/of/the=server" "vo"`

// vomsesFields splits a line at its quotes.
func vomsesFields(line string) ([]string, error) {
	var fields []string
	for rest := line; ; {
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" || rest[0] == '#' {
			return fields, nil
		}
		if rest[0] != '"' {
			return nil, fmt.Errorf("%s is not in double quotes", excerpt(rest))
		}
		field, after, closed := strings.Cut(rest[1:], `"`)
		if !closed {
			return nil, fmt.Errorf("the quote before %s is not closed", excerpt(field))
		}
		fields = append(fields, field)
		rest = after
	}
}

func (s *Server) set(fields []string) error {
	if len(fields) < 5 || len(fields) > 6 {
		return fmt.Errorf("it has %d fields", len(fields))
	}
	s.Alias, s.Host, s.DN, s.VO = fields[0], fields[1], fields[3], fields[4]
	port, err := strconv.ParseUint(fields[2], 10, 16)
	s.Port = int(port)
	switch {
	case s.Alias == "" || strings.ContainsFunc(s.Alias, isControl):
		return fmt.Errorf("the alias %s is empty or has control characters", excerpt(s.Alias))
	case s.Host == "" || !consistsOf(s.Host, ".-_:"):
		return fmt.Errorf("the host %s is no host name or address", excerpt(s.Host))
	case err != nil || port == 0:
		return fmt.Errorf("the port %s is no number from 1 to 65535", excerpt(fields[2]))
	case !isDN(s.DN):
		return fmt.Errorf("the DN %s is not one", excerpt(s.DN))
	case !isWord(s.VO):
		return fmt.Errorf("the VO %s is empty or has other characters than letters, digits, '_', '-' and '.'", excerpt(s.VO))
	}
	return nil
}

func isDN(s string) bool {
	_, err := gsi.ParseDN(s)
	return err == nil && s != "" && !strings.ContainsFunc(s, isControl)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// consistsOf says whether s has letters and digits of ASCII only, and the others that are allowed.
func consistsOf(s, others string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && !('0' <= r && r <= '9') && !strings.ContainsRune(others, r)
	})
}

// excerpt quotes what a stranger wrote, and not too much of it.
func excerpt(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}
