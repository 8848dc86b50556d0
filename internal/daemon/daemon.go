// Package daemon makes the gateway out of a config, and keeps it running: listeners, reloads, the service manager.
//
//	d, err := daemon.New(daemon.Options{File: "/etc/gsigw/gsigw.yaml", LogTo: os.Stderr})
//	if err != nil {
//		return err // what is wrong with the config, or which listener cannot be had
//	}
//	err = d.Run(ctx) // until ctx ends; calls under way may end within timeouts.shutdown
//
// New opens the listeners and builds everything from the config; nothing is accepted before Run. A SIGHUP, or a change
// in a directory that holds something the config names, has Run read everything again: what cannot be used leaves the
// old in place, and the log says so. Listeners and reverse paths stay as they were until the next start.
package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"gsigw/internal/admin"
	"gsigw/internal/config"
	"gsigw/internal/gateway"
	"gsigw/internal/intercept"
	"gsigw/wssec"
)

// Options say what to run.
type Options struct {
	File    string           // the config
	Trace   string           // directory for traces, instead of the config's
	LogTo   io.Writer        // nil: no log
	Version string           // for the log
	Now     func() time.Time // nil: time.Now
}

// Daemon is a gateway with its listeners. Run it once, or Close it.
type Daemon struct {
	file      string
	log       *slog.Logger
	level     *slog.LevelVar
	now       func() time.Time
	notify    notifier
	listeners map[string]net.Listener
	started   *config.Config // what the listeners were made from
	gateway   *gateway.Gateway
	servers   []*intercept.Server
	admin     *admin.Server     // nil: none
	replay    *wssec.ReplayFile // nil: the memory is none on disk

	reloading sync.Mutex
	wiring    *wiring
}

// New reads the config, opens the listeners and builds the gateway.
func New(o Options) (*Daemon, error) {
	c, err := config.Load(o.File)
	if err != nil {
		return nil, err
	}
	d := &Daemon{file: o.File, now: o.Now, started: c, level: new(slog.LevelVar), notify: newNotifier(os.Getenv)}
	if d.now == nil {
		d.now = time.Now
	}
	d.log = newLog(o.LogTo, c.Log, d.level)
	d.log.Info("starting", "version", o.Version, "config", o.File, "routes", len(c.Routes), "callers", len(c.Callers))
	passed, err := passedSockets(os.Getenv, firstFD)
	if err != nil {
		return nil, err
	}
	if d.listeners, err = listen(c, passed); err != nil {
		return nil, err
	}
	if err := d.build(o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close gives the listeners up without having run.
func (d *Daemon) Close() error { return errors.Join(closeAll(d.listeners), d.closeReplay()) }

// Addr is the address of a listener: "proxy", "reverse" or "admin"; nil where there is none.
func (d *Daemon) Addr(listener string) net.Addr {
	if ln := d.listeners[listener]; ln != nil {
		return ln.Addr()
	}
	return nil
}

// newLog writes records as the config says; a reload can change the level.
func newLog(w io.Writer, l config.Log, level *slog.LevelVar) *slog.Logger {
	if w == nil {
		return slog.New(slog.DiscardHandler)
	}
	level.Set(l.Level)
	o := &slog.HandlerOptions{Level: level}
	if l.Format == config.JSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func (d *Daemon) build(o Options) error {
	w, err := wire(d.started, ownAddresses(d.listeners), d.now, &wiring{})
	if err != nil {
		return err
	}
	d.wiring = w
	trace, err := d.trace(o.Trace)
	if err != nil {
		return err
	}
	metrics := admin.NewMetrics(o.Version)
	replay, err := d.openReplay()
	if err != nil {
		return err
	}
	d.gateway, err = gateway.New(gateway.Config{
		Log: d.log, Observer: metrics, Trace: trace, Now: d.now, Replay: replay,
		Spool: poolOf(d.started.Spool),
	}, w.state)
	if err != nil {
		return err
	}
	if ln := d.listeners[adminListener]; ln != nil {
		if d.admin, err = admin.New(ln, metrics); err != nil {
			return err
		}
		d.admin.Set(w.status())
	}
	err = d.serve()
	d.warn(w.warnings)
	d.warn(w.credentialProblems(context.Background()))
	return err
}

func (d *Daemon) trace(dir string) (*gateway.Trace, error) {
	if dir == "" {
		dir = string(d.started.Trace)
	}
	if dir == "" {
		return nil, nil
	}
	d.log.Warn("messages are written to files, secrets cut out", "trace", dir)
	return gateway.NewTrace(dir, func(err error) { d.log.Error("the trace cannot be written", "err", err) })
}

// serve makes a server for each listener.
func (d *Daemon) serve() error {
	c := d.started
	for _, l := range []struct {
		name string
		tls  config.TLS
		intercept.Config
	}{
		{proxyListener, c.Listen.TLS, intercept.Config{Forward: true, CA: d.wiring.ca}},
		{reverseListener, c.Reverse.TLS, intercept.Config{Routes: reverseRoutes(c), Names: c.Reverse.Hosts}},
	} {
		ln := d.listeners[l.name]
		if ln == nil {
			continue
		}
		l.Gateway, l.Callers, l.Limits, l.Refused = d.gateway, d.wiring.callers, interceptLimits(c), d.refused
		l.ErrorLog = slog.NewLogLogger(d.log.Handler(), slog.LevelWarn)
		var err error
		if l.TLS, err = d.wiring.listenerTLS(l.tls); err != nil {
			return err
		}
		s, err := intercept.New(ln, l.Config)
		if err != nil {
			return err
		}
		d.servers = append(d.servers, s)
		d.log.Info("listening", "listener", l.name, "addr", ln.Addr().String())
	}
	return nil
}

func interceptLimits(c *config.Config) intercept.Limits {
	return intercept.Limits{
		Body: int64(c.Limits.Message), Header: int(c.Limits.HTTPHeader),
		HeaderTime: c.Timeouts.Request, Idle: c.Timeouts.Idle, Progress: c.Timeouts.Progress, Grace: c.Timeouts.Shutdown,
	}
}

func (d *Daemon) refused(r *http.Request, why *intercept.Refusal) {
	d.log.Warn("refused", "status", why.Status, "reason", why.Reason, "from", r.RemoteAddr)
}

func (d *Daemon) warn(texts []string) {
	for _, text := range texts {
		d.log.Warn(text)
	}
}

// Run serves until ctx ends, or a listener fails.
func (d *Daemon) Run(ctx context.Context) error {
	watch, err := newWatcher(d.log)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	watch.watch(d.watched())
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	reload := func() {
		d.Reload(ctx)
		watch.watch(d.watched())
	}
	var running sync.WaitGroup
	for _, s := range d.servers {
		running.Go(func() { stop(s.Serve(ctx)) })
	}
	if d.admin != nil {
		running.Go(func() { stop(d.admin.Serve(ctx)) })
	}
	running.Go(func() { watch.run(ctx, hangUps, reload) })
	running.Go(func() { d.notify.live(ctx) })
	d.notify.ready()
	<-ctx.Done()
	d.notify.stopping()
	d.log.Info("stopping")
	running.Wait()
	return errors.Join(failureOf(ctx), d.closeReplay())
}

func (d *Daemon) watched() (dirs, files []string) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	return d.wiring.watched()
}

// failureOf is why serving ended, nil where it was asked to.
func failureOf(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
