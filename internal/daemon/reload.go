package daemon

import (
	"context"
	"strings"

	"gsigw/internal/config"
	"gsigw/internal/intercept"
)

// Reload reads the config and everything that it names again. On an error what runs stays as it is.
func (d *Daemon) Reload(ctx context.Context) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.notify.reloading()
	defer d.notify.ready()
	d.wiring.refresh(ctx, d.log)
	err := d.reload()
	d.warn(d.wiring.credentialProblems(ctx))
	if err != nil {
		d.log.Error("the config was not taken; what ran before goes on", "err", err)
		return err
	}
	d.log.Info("read again", "config", d.file)
	return nil
}

func (d *Daemon) reload() error {
	c, err := config.Load(d.file)
	if err != nil {
		return err
	}
	if what := needsRestart(d.started, c); len(what) > 0 {
		d.log.Warn("restart to change listeners and what else is fixed at the start; the rest is taken now", "restart for", strings.Join(what, ", "))
		c.Listen, c.Reverse = d.started.Listen, d.started.Reverse
	}
	w, err := wire(c, ownAddresses(d.listeners), d.now, d.wiring)
	if err != nil {
		return err
	}
	if err := d.setCallers(w.callers); err != nil {
		return err
	}
	if err := d.gateway.Reload(w.state); err != nil {
		return err
	}
	for _, s := range d.servers {
		s.SetCA(w.ca)
	}
	if d.admin != nil {
		d.admin.Set(w.status())
	}
	d.level.Set(c.Log.Level)
	d.wiring = w
	d.warn(w.warnings)
	return nil
}

// setCallers replaces the callers of every listener, or of none.
func (d *Daemon) setCallers(rules []intercept.CallerRule) error {
	for i, s := range d.servers {
		if err := s.SetCallers(rules); err != nil {
			for _, done := range d.servers[:i] {
				done.SetCallers(d.wiring.callers) // were taken before
			}
			return err
		}
	}
	return nil
}
