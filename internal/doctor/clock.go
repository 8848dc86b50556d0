package doctor

import "time"

// clockSlack is what a clock may be off before anybody notices: proxies are made valid from five minutes ago.
const clockSlack = 5 * time.Minute

// clock compares this machine's with those that dated certificates and lists, and asks the kernel.
func (v *visit) clock() {
	const check, remedy = "clock", "set the clock right: timedatectl set-ntp true, or start chronyd or ntpd"
	for _, c := range v.found {
		for _, cert := range c.Chain {
			v.clocks = append(v.clocks, dated{"a certificate of " + c.where + " is valid from", cert.NotBefore})
		}
	}
	var latest dated
	for _, d := range v.clocks {
		if d.at.After(latest.at) {
			latest = d
		}
	}
	if ahead := latest.at.Sub(v.Now); ahead > 0 {
		state := Fail
		if ahead <= clockSlack {
			state = Warn
		}
		v.add(check, state, remedy, "%s %s, which is %s from now: this machine's clock is behind, or the other is ahead",
			[]any{latest.what, day(latest.at), span(ahead)})
	}
	v.kernelSays(check, remedy)
}

func (v *visit) kernelSays(check, remedy string) {
	k, err := v.Kernel()
	switch {
	case err != nil:
		v.ok(check, "the kernel does not say whether the clock is kept right: %s", why(err))
	case !k.Synchronized:
		v.warn(check, remedy, "it is %s here, and the kernel says that nothing keeps the clock right", day(v.Now))
	case k.MaxError > clockSlack:
		v.warn(check, remedy, "the kernel says that the clock may be off by %s", span(k.MaxError))
	default:
		v.ok(check, "it is %s here, and the kernel says that the clock is kept right", day(v.Now))
	}
}

// machine looks at what else grid tools need.
func (v *visit) machine() {
	if v.Seeded() {
		v.ok("machine.random", "the kernel has random numbers to make keys from")
	} else {
		v.fail("machine.random", "wait until the machine has started, or give it a source: rngd, virtio-rng",
			"the kernel's random numbers are not ready: no key can be made yet")
	}
	v.hostname()
}
