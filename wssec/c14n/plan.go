package c14n

import (
	"errors"
	"io"
	"slices"

	"gsigw/soap/xmlscan"
)

// Plan is the canonical form of an element in terms of its source: ranges of bytes that stand as they are, and what is
// written between them. It is made while the document is read for the first time, so that digesting the element, and
// writing what was digested, need no second scan:
//
//	p := c14n.NewPlanner(s) // s has just met the element's start tag
//	...                     // p.Token(kind) for each token behind that, the end tag included
//	plan := p.Plan()
//	...
//	if plan.Suits(method) {
//		err = plan.Write(hash, xmlscan.NewElement(src, element, scope, limits), method)
//	}
//
// The element's own start tag is left out: what it looks like depends on the method.
type Plan struct {
	segments  []segment
	own       []byte   // what stands in no source, end to end
	declared  []string // the namespaces that are declared in the content
	unwritten []Prefix // what Method.Unwritten is to be asked about
	void      bool
}

// segment is own bytes up to an offset, and then a range of the source.
type segment struct {
	own  int
	span xmlscan.Span
}

// What a plan may hold: beyond it the element is scanned again, as ever.
const (
	maxSegments  = 4096
	maxOwn       = freeGrowth // so that no form of a plan is one that Write refuses
	maxDeclared  = 64
	maxUnwritten = 64
)

func (p *Plan) add(own []byte, span xmlscan.Span) {
	if len(own) == 0 && span.Len() == 0 {
		return
	}
	if p.void = p.void || len(p.segments) == maxSegments || len(p.own)+len(own) > maxOwn; p.void {
		p.segments, p.own = nil, nil
		return
	}
	p.own = append(p.own, own...)
	p.segments = append(p.segments, segment{len(p.own), span})
}

// Planner makes the Plan of an element.
type Planner struct{ c *writer }

// NewPlanner starts at the element whose start tag, which is not empty, was read last.
func NewPlanner(s *xmlscan.Scanner) *Planner {
	plan := &Plan{}
	c := newWriter(nil, s, Method{Exclusive: true, Unwritten: plan.ask})
	c.plan = plan
	c.start()
	c.endRun()
	c.out = c.out[:0]
	*plan = Plan{}
	return &Planner{c}
}

// ask notes a prefix, once.
func (p *Plan) ask(asked Prefix) error {
	switch {
	case slices.Contains(p.unwritten, asked):
	case len(p.unwritten) == maxUnwritten:
		p.void = true
	default:
		p.unwritten = append(p.unwritten, asked)
	}
	return nil
}

// declare notes the declarations that a start tag in the content has.
func (p *Plan) declare(c *writer) {
	for _, d := range c.todo {
		switch space := c.s.URI(d.space); {
		case slices.Contains(p.declared, space):
		case len(p.declared) == maxDeclared:
			p.void = true
		default:
			p.declared = append(p.declared, space)
		}
	}
}

// Token takes the scanner's next token.
func (p *Planner) Token(kind xmlscan.Kind) {
	plan := p.c.plan
	if plan.void {
		return
	}
	p.c.token(kind)
	if kind == xmlscan.StartElement && len(p.c.todo) > 0 {
		plan.declare(p.c)
	}
}

// Plan is the finished plan, nil where the element is not worth one. It ends the Planner.
func (p *Planner) Plan() *Plan {
	p.c.endRun()
	p.c.flush()
	plan := p.c.plan
	p.c.free()
	if plan.void {
		return nil
	}
	return plan
}

// Suits reports whether the plan is one for that method. An attribute that is added must not spare the content a
// declaration.
func (p *Plan) Suits(m Method) bool {
	return p != nil && m.Exclusive && !m.Comments && len(m.Prefixes) == 0 && (m.ApexID == nil || !slices.Contains(p.declared, m.ApexID.Space))
}

// Write is the function Write for a method that suits; s scans the element from its start.
func (p *Plan) Write(w io.Writer, s *xmlscan.Scanner, m Method) error {
	c := newWriter(w, s, m)
	defer c.free()
	if kind, err := s.Next(); err != nil || kind != xmlscan.StartElement {
		return errors.Join(err, errNoStart)
	}
	c.from = s.Span.Start
	c.start()
	if c.wrote+int64(len(c.out)) > MaxGrowth*s.Span.Len() {
		return c.rest() // with so much in front, the content may be too much
	}
	if m.Unwritten != nil {
		for _, asked := range p.unwritten {
			c.fail(m.Unwritten(asked))
		}
	}
	c.flush()
	own := 0
	for _, g := range p.segments {
		c.raw(p.own[own:g.own])
		c.copy(g.span)
		own = g.own
	}
	c.flush()
	return c.err
}

var errNoStart = errors.New("c14n: the scan is not at an element's start")

// copy writes a range of the source.
func (c *writer) copy(span xmlscan.Span) {
	if c.inMemory {
		c.raw(c.memory[span.Start:span.End])
		return
	}
	c.flush()
	piece := make([]byte, min(span.Len(), bufferSize))
	for c.err == nil && span.Len() > 0 {
		n, err := c.s.Source().ReadAt(piece[:min(span.Len(), bufferSize)], span.Start)
		c.write(piece[:n])
		if span.Start += int64(n); err != nil && (err != io.EOF || span.Len() > 0) {
			c.fail(&xmlscan.Error{Class: xmlscan.Unreadable, Offset: span.Start, Err: err})
		}
	}
}
