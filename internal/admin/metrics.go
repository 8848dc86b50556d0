package admin

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gsigw/gsi"
	"gsigw/internal/gateway"
	"gsigw/voms"
)

// Metrics counts. Its labels come from small closed sets; none is a name of a person or a host. It has a registry of
// its own.
type Metrics struct {
	registry *prometheus.Registry
	messages *prometheus.CounterVec
	sign     prometheus.Histogram
	refused  *prometheus.CounterVec
	now      func() time.Time
	expiry   expiry
}

var _ gateway.Observer = (*Metrics)(nil)

// NewMetrics makes the metrics of a gateway of this version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		now:      time.Now,
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gsigw_soap_messages_total", Help: "SOAP messages by direction (request, reply), profile and result.",
		}, []string{"direction", "profile", "result"}),
		sign: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gsigw_soap_sign_seconds", Help: "Time to secure a message.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 2},
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gsigw_verify_failures_total", Help: "Replies refused, by reason.",
		}, []string{"reason"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gsigw_build_info", Help: "1, with the version.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.messages, m.sign, m.refused, build, &m.expiry,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Message implements gateway.Observer.
func (m *Metrics) Message(direction, profile, result string) {
	m.messages.WithLabelValues(direction, profile, result).Inc()
}

// Signed implements gateway.Observer.
func (m *Metrics) Signed(d time.Duration) { m.sign.Observe(d.Seconds()) }

// Refused implements gateway.Observer.
func (m *Metrics) Refused(class string) { m.refused.WithLabelValues(class).Inc() }

func (m *Metrics) watch(st *Status) { m.expiry.watch(st) }

// expiry looks at the credentials and anchors whenever it is asked, since files change by themselves. Of several
// credentials of a kind, and of all anchors, it gives the one that expires first. A credential that can no longer be
// read keeps the date that it had, so that an alert on it stays up.
type expiry struct {
	mu     sync.Mutex
	status *Status
	last   map[string][]dated // of each credential: its chain's end, and its attributes'
}

type dated struct {
	kind     string // proxy, end-entity or attributes
	notAfter time.Time
}

var (
	credentialExpiry = prometheus.NewDesc("gsigw_credential_expiry_timestamp_seconds",
		"When the first credential of the kind (proxy, end-entity) expires, or the first VOMS attributes (attributes) of one do.", []string{"kind"}, nil)
	credentialProblems = prometheus.NewDesc("gsigw_credential_problems",
		"How many credentials cannot be used as their files are now, those included of which an earlier state is used.", nil, nil)
	anchorExpiry = prometheus.NewDesc("gsigw_trust_anchor_expiry_timestamp_seconds",
		"When the first CA of the trust directory expires.", nil, nil)
)

func (e *expiry) watch(st *Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.last {
		if st.Credentials[name] == nil {
			delete(e.last, name)
		}
	}
	e.status = st
}

// Describe implements prometheus.Collector.
func (e *expiry) Describe(out chan<- *prometheus.Desc) {
	out <- credentialExpiry
	out <- credentialProblems
	out <- anchorExpiry
}

// Collect implements prometheus.Collector.
func (e *expiry) Collect(out chan<- prometheus.Metric) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.status == nil {
		return
	}
	first, problems := e.credentials()
	out <- prometheus.MustNewConstMetric(credentialProblems, prometheus.GaugeValue, float64(problems))
	for kind, at := range first {
		out <- prometheus.MustNewConstMetric(credentialExpiry, prometheus.GaugeValue, float64(at.Unix()), kind)
	}
	if e.status.Anchors == nil {
		return
	}
	if at := earliest(e.status.Anchors()); !at.IsZero() {
		out <- prometheus.MustNewConstMetric(anchorExpiry, prometheus.GaugeValue, float64(at.Unix()))
	}
}

// credentials gives the first expiry of each kind, and how many credentials have a problem.
func (e *expiry) credentials() (first map[string]time.Time, problems int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for name, source := range e.status.Credentials {
		c, err := source.Credential(ctx)
		if err != nil || gsi.ProblemOf(source) != nil {
			problems++
		}
		if err == nil && c != nil && len(c.Chain) > 0 {
			if e.last == nil {
				e.last = map[string][]dated{}
			}
			e.last[name] = append([]dated{{kindOf(c), c.NotAfter()}}, attributesOf(c)...)
		}
	}
	first = map[string]time.Time{}
	for _, ends := range e.last {
		for _, d := range ends {
			if at, ok := first[d.kind]; !ok || d.notAfter.Before(at) {
				first[d.kind] = d.notAfter
			}
		}
	}
	return first, problems
}

// attributesOf gives the ends of what the proxy's attribute certificates say: a service may have no use for the proxy
// after the first of them. Whether they are believed is the service's business.
func attributesOf(c *gsi.Credential) (ends []dated) {
	list, err := voms.ACs(c.Chain)
	if err != nil {
		return nil
	}
	for _, der := range list {
		if ac, err := voms.ParseAC(der); err == nil {
			ends = append(ends, dated{"attributes", ac.NotAfter})
		}
	}
	return ends
}

func kindOf(c *gsi.Credential) string {
	if t, err := gsi.Classify(c.Leaf()); err == nil && t == gsi.EEC {
		return "end-entity"
	}
	return "proxy"
}

func earliest(times []time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first
}
